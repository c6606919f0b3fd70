import pytest

from deeplab_lfov.console import print_error
from deeplab_lfov.errors import UserError, printable, shortened


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("conv1_1/w, straße 猫", "conv1_1/w, straße 猫"),
        ("two  spaces", "two  spaces"),
        ("a\nb\tc", "a b c"),
        ("\x1b[2J\r\0\x9b", "?[2J???"),
        ("gpj\u202etxt.exe\u2066\udc80", "gpj?txt.exe??"),
    ],
)
def test_printable_shows_no_control_characters(text, shown):
    assert printable(text) == shown


def test_long_texts_are_cut_in_the_middle():
    assert shortened("x" * 20, 20) == "x" * 20
    cut = shortened("a" * 30 + "b" * 30, 20)
    assert cut == "a" * 8 + " ... " + "b" * 7


def test_an_error_is_one_clean_short_line(capsys):
    print_error(UserError("\x1b[2J\r\nnet.npz: " + "name " * 10_000 + "is extra; take another"))
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and line[:-1].isprintable() and len(line) <= 500
    assert line.startswith("error: ?[2J? net.npz: name") and line.endswith("; take another\n")


def test_an_error_is_without_the_names_of_tensorflows_nodes():
    error = UserError("a {{function_node __wrapped__X_device_CPU:0}} b [Op:X] {{c}}")
    assert str(error) == "a b {{c}}"
