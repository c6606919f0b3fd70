import functools
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from deeplab_lfov import UserError
from deeplab_lfov.cli import flags, train_flags
from deeplab_lfov.cli.command import Parser, run
from helpers import ROOT


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


def test_errors_of_a_user_are_one_line_and_status_2(monkeypatch, capsys):
    def main(args):
        raise UserError("what,\nwhere")

    monkeypatch.setattr(sys, "argv", ["x"])
    with pytest.raises(SystemExit) as exit_:
        run(main, Parser("test"))
    assert exit_.value.code == 2 and capsys.readouterr().err == "error: what, where\n"


def test_faults_of_the_program_keep_their_traceback(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x"])
    with pytest.raises(ZeroDivisionError):
        run(lambda args: 1 / 0, Parser("test"))


def test_unknown_and_shortened_flags_are_errors():
    parser = Parser("test")
    parser.add_argument("--learning_rate", type=flags.RATE)
    for arguments in (["--learning"], ["--no_such"], ["--learning_rate", "fast"]):
        with pytest.raises(UserError):
            parser.parse_args(arguments)


def test_paths_that_cannot_be_looked_at_are_one_error_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["x"])
    with pytest.raises(SystemExit) as exit_:
        run(lambda args: Path("x" * 300).stat(), Parser("test"))
    error = capsys.readouterr().err
    assert exit_.value.code == 2 and error.startswith("error: xxx") and error.count("\n") == 1


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
        ("--lr_rate", "learning_rate"),
        ("--learning-rate=0.1", "learning_rate"),
        ("--batchsize", "batch_size"),
        ("--steps", "num_steps"),
        ("--output", "save_dir"),
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


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("status", [0, 2])
def test_a_command_runs_with_streams_closed(tmp_path, closed, status):
    (tmp_path / "script.py").write_text(
        "from deeplab_lfov import UserError\nfrom deeplab_lfov.cli.command import Parser, run\n"
        "from deeplab_lfov.console import progress, quiet_stderr\n"
        "def main(given):\n"
        "    with quiet_stderr(), progress(range(3), 3, 'pictures') as bar:\n"
        "        for number in bar:\n            bar.write(str(number))\n"
        f"    if {status}:\n        raise UserError('what')\n"
        "run(main, Parser('Nothing.'))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = f"{shlex.quote(sys.executable)} script.py {closed}"
    done = subprocess.run(command, shell=True, cwd=tmp_path, env=environment, capture_output=True)
    assert done.returncode == status, done


NO_SPACE = "error: output: No space left on device\n"
FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")


@pytest.mark.parametrize(
    ("output", "length", "mistake", "status", "line"),
    [
        pytest.param(">/dev/full", 9, "", 2, NO_SPACE, marks=FULL),
        pytest.param(">/dev/full", 20_000, "", 2, NO_SPACE, marks=FULL),
        pytest.param(">/dev/full", 9, "what", 2, "error: what\n", marks=FULL),
        pytest.param("2>/dev/full", 9, "what", 2, "", marks=FULL),
        pytest.param(">/dev/full 2>&1", 9, "what", 2, "", marks=FULL),
        (">&9", 9, "", 141, ""),
        (">&9", 20_000, "", 141, ""),
        (">&9", 9, "what", 2, "error: what\n"),
        (">&9 2>&1", 9, "what", 2, ""),
    ],
)
@pytest.mark.parametrize("workers", ["", "{}"])
def test_a_command_ends_as_it_should_where_nobody_takes_its_output(
    tmp_path, output, length, mistake, status, line, workers
):
    """Descriptor 9 is a pipe whose reader has gone."""
    (tmp_path / "script.py").write_text(
        "from deeplab_lfov import UserError\nfrom deeplab_lfov.cli.command import Parser, run\n"
        f"def main(given):\n    print('x' * {length})\n"
        f"    if {mistake!r}:\n        raise UserError({mistake!r})\n"
        "run(main, Parser('Nothing.'))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CONFIG": workers}
    environment.pop("PYTHONUNBUFFERED", None)  # else the output fails before the mistake
    reader, writer = os.pipe()
    os.close(reader)
    command = f"{shlex.quote(sys.executable)} script.py {output.replace('9', str(writer))}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        pass_fds=[writer],
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (status, line)


LEAVING = (
    "import atexit\nfrom deeplab_lfov.cli.command import leave\n"
    "atexit.register(print, 'registered')\nprint('printed')\nleave()\nprint('after')\n"
)


def test_leaving_writes_what_was_printed_and_does_what_was_registered(tmp_path):
    (tmp_path / "script.py").write_text(LEAVING)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run_python = functools.partial(
        subprocess.run, cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    done = run_python([sys.executable, "script.py"])
    assert (done.returncode, done.stdout, done.stderr) == (0, "printed\nregistered\n", "")
    profiled = run_python([sys.executable, "-m", "cProfile", "-o", "profile", "script.py"])
    assert (profiled.returncode, profiled.stdout) == (0, "printed\nafter\nregistered\n")
    assert (tmp_path / "profile").exists()
