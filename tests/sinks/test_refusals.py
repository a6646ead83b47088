"""What an error of an insert speaks of: the value of a row, or the store."""

import pytest
from clickhouse_driver.errors import NetworkError, ServerException, TypeMismatchError

from sinks.refusals import speaks_of_a_row, words_of

IN_A_VIEW = "DB::Exception: Cannot parse string 'q' as UInt16: while pushing to view b.mv. Stack trace: 0. ?"


@pytest.mark.parametrize(
    ("error", "of_a_row"),
    [
        (ServerException("Constraint `c` is violated", 469), True),
        (ServerException("Cannot parse", 6), True),
        (ServerException(IN_A_VIEW, 6), False),
        *(
            (ServerException("the store's", code), False)
            for code in (16, 60, 164, 202, 241, 242, 243, 252, 395, 497, 516)
        ),
        (TypeMismatchError("Column n: out of range"), True),
        (AttributeError("'NoneType' object has no attribute 'encode'"), True),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), True),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "an answer of the server"), False),
        (NetworkError("gone"), False),
        (ConnectionResetError(), False),
        (EOFError(), False),
        (MemoryError(), False),
        (AssertionError(), False),
    ],
)
def test_only_what_a_row_holds_costs_it_its_place(error: BaseException, of_a_row: bool) -> None:
    assert speaks_of_a_row(error) is of_a_row


def test_the_words_of_a_refusal_hold_neither_values_nor_a_stack_trace() -> None:
    said = "DB::Exception: Constraint `c` is violated at row 1. Expression: (a < 100). Column values: a = 'secret'. Stack trace:\n\n0."
    assert "secret" not in words_of(ServerException(said, 469))
    assert "Constraint `c`" in words_of(ServerException(said, 469))
    assert "secret" not in words_of(ValueError("invalid literal: 'secret'"))
    assert len(words_of(ServerException("x" * 10_000, 469))) <= 300
