"""What the streams compute: pure functions of records and state. No Kafka, HTTP, SQL, clock or Faust in here."""
