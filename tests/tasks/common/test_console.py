import pytest

from tasks.common.console import print_table


def test_a_table_is_aligned_and_prints_text_without_markup(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", ">size"), [("[bold]a[/bold]", 7), ("b", 1234)])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["name            size", "[bold]a[/bold]     7", "b               1234"]


def test_no_cell_is_shortened_however_wide_the_table_is(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("first", "second"), [("x" * 300, "y" * 300)])
    assert f"{'x' * 300}  {'y' * 300}" in capsys.readouterr().out
