import io
import os
import shlex
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import pytest

from deeplab_lfov import UserError
from deeplab_lfov.cli import train_flags
from deeplab_lfov.cli.command import Parser, run
from helpers import ROOT, environment_with_package


@pytest.mark.parametrize("name", ["train", "evaluate", "inference"])
def test_help_does_not_load_tensorflow(name):
    code = (
        f"import sys, {name}\n"
        "try:\n    sys.argv = ['x', '--help']\n"
        f"    {name}.run({name}.main, {name}.parser())\n"
        "finally:\n    assert 'tensorflow' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "usage:" in done.stdout, done.stderr


def raise_user_error(args):
    raise UserError("what,\nwhere")


@pytest.mark.parametrize(
    ("main", "words"),
    [(raise_user_error, "what, where\n"), (lambda args: Path("x" * 300).stat(), "xxx")],
)
def test_errors_of_a_user_are_one_line_and_status_2(monkeypatch, capsys, main, words):
    monkeypatch.setattr(sys, "argv", ["x"])
    with pytest.raises(SystemExit) as exit_:
        run(main, Parser("test"))
    error = capsys.readouterr().err
    assert exit_.value.code == 2 and error.count("\n") == 1 and error.startswith(f"error: {words}")


def test_faults_of_the_program_keep_their_traceback(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x"])
    with pytest.raises(ZeroDivisionError):
        run(lambda args: 1 / 0, Parser("test"))


def test_a_parser_returns_the_flags_that_were_given_and_shows_defaults(monkeypatch, capsys):
    parser = Parser("test", {"size": (3, 0.5), "rate": 1.0, "none": None})
    for name in ("size", "rate", "none"):
        parser.add_argument(f"--{name}", help=f"the {name}")
    monkeypatch.setattr(sys, "argv", ["x", "--rate", "7"])
    assert parser.given() == {"rate": "7"}
    words = " ".join(parser.format_help().split())
    assert "the size (default: 3,0.5)" in words and "the rate (default: 1.0)" in words
    assert words.endswith("the none")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--lr", "learning_rate"),
        ("--learning-rate=0.1", "learning_rate"),
        ("--batchsize", "batch_size"),
        ("--learning", "learning_rate"),
        ("--gpu", "devices"),
        ("--qwxz", None),
    ],
)
def test_unknown_flags_are_guessed(monkeypatch, typed, meant):
    monkeypatch.setattr(sys, "argv", ["train.py", typed, "3"])
    with pytest.raises(UserError) as error:
        train_flags.parser().given()
    assert f"unknown: {typed}" in str(error.value)
    assert ("did you mean" in str(error.value)) == bool(meant)
    assert f"did you mean --{meant}?" in str(error.value) or not meant


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--random_mirror", "False"], "--random_mirror turns it on, --no-random_mirror off"),
        (["--input_size", "161", "200"], "lists are written with commas, such as 0.5,1"),
    ],
)
def test_values_that_stand_alone_are_told_how_to_be_written(monkeypatch, flags, words):
    monkeypatch.setattr(sys, "argv", ["train.py", *flags])
    with pytest.raises(UserError, match=words):
        train_flags.parser().given()


@pytest.mark.parametrize(("closed", "status"), [(">&-", 0), ("2>&-", 2), ("<&- >&- 2>&-", 2)])
def test_a_command_runs_with_streams_closed(tmp_path, closed, status):
    _write_script(
        tmp_path,
        "with quiet_stderr(), progress(range(3), 3, 'pictures') as bar:\n"
        "    for number in bar:\n        bar.write(str(number))\n"
        f"if {status}:\n    raise UserError('what')\n",
    )
    environment = environment_with_package()
    command = f"{shlex.quote(sys.executable)} script.py {closed}"
    done = subprocess.run(command, shell=True, cwd=tmp_path, env=environment, capture_output=True)
    assert done.returncode == status, done


@pytest.fixture
def outputs():
    """Give what a stream may be: a pipe, one whose reader has gone, and a device that is full."""
    reader, gone = os.pipe()
    os.close(reader)
    found = {"": subprocess.PIPE, "gone": gone}
    if Path("/dev/full").exists():
        found["full"] = os.open("/dev/full", os.O_WRONLY)
    yield found
    for name in filter(None, found):
        os.close(found[name])


PRINTED, LONG, MISTAKE = "print('x')", "print('x' * 20_000)", "print('x'); raise UserError('what')"
WHAT, NO_SPACE = "error: what\n", "error: output: No space left on device\n"


@pytest.mark.parametrize(
    ("stdout", "stderr", "work", "status", "line"),
    [
        ("full", "", PRINTED, 2, NO_SPACE),
        ("full", "", MISTAKE, 2, WHAT),
        ("full", "", f"{PRINTED}; sys.exit()", 2, NO_SPACE),
        ("full", "full", MISTAKE, 2, ""),
        ("gone", "", PRINTED, 141, ""),
        ("gone", "", LONG, 141, ""),
        ("gone", "", f"{PRINTED}; sys.exit()", 141, ""),
        ("gone", "", f"{PRINTED}; sys.exit(1)", 1, ""),
        ("gone", "gone", "sys.stderr.write('bar'); sys.stderr.flush()", 141, ""),
        ("", "gone", "warnings.warn('x'); raise KeyboardInterrupt", 130, ""),
    ],
)
def test_a_status_stays_where_output_cannot_be_written(
    tmp_path, outputs, stdout, stderr, work, status, line
):
    if not {stdout, stderr} <= outputs.keys():
        pytest.skip("no device that is always full")
    done = _run(tmp_path, work, stdout=outputs[stdout], stderr=outputs[stderr])
    assert (done.returncode, done.stderr or "") == (status, line)


@pytest.mark.parametrize(("work", "status"), [(MISTAKE, 2), ("raise KeyboardInterrupt", 130)])
def test_a_worker_does_not_wait_for_its_threads(tmp_path, work, status):
    waiting = "threading.Thread(target=threading.Event().wait).start(); "
    done = _run(tmp_path, waiting + work, "{}", capture_output=True)
    assert done.returncode == status


def _run(folder, work, workers="", **streams):
    """Run a script whose main does some work."""
    _write_script(folder, work)
    environment = environment_with_package(TF_CONFIG=workers)
    environment.pop("PYTHONUNBUFFERED", None)  # else the output fails before the mistake
    return subprocess.run(
        [sys.executable, "script.py"], cwd=folder, env=environment, text=True, timeout=60, **streams
    )


def _write_script(folder, work):
    (folder / "script.py").write_text(
        "import sys, threading, warnings\nfrom deeplab_lfov import UserError\n"
        "from deeplab_lfov.cli.command import Parser, run\n"
        "from deeplab_lfov.console import progress, quiet_stderr\n"
        f"def main(given):\n{textwrap.indent(work, '    ')}\nrun(main, Parser('Nothing.'))\n"
    )


def test_letters_and_warnings_that_a_terminal_lacks(monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "argv", ["x"])
    monkeypatch.setattr(sys, "stdout", out)
    run(lambda _: print("straße"), Parser("x"))
    assert out.buffer.getvalue() == b"stra?e\n"
    assert warnings.formatwarning("\x1b[2J", UserWarning, "a.py", 1) == "warning: ?[2J\n"
