"""Stream processors: a pure core and a thin Faust shell around it."""
