"""Jobs of steps: what is done stays done, what fails is named, and reports say what was found."""

import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import time

import numpy
import pytest

from crossmodal import environment, reproduction_report, reproduction_steps
from crossmodal.errors import ConfigurationError, UserError
from crossmodal.reproduction import Column, Detail, Measured, Plan, Published, Step, Table

TESTS = pathlib.Path(__file__).parent
ROOT = TESTS.parent
SETTINGS = {"paper": "a paper", "size": "tiny"}


@pytest.fixture(autouse=True)
def fakes(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{TESTS}{os.pathsep}{ROOT}")


def fake(folder, name: str, **flags) -> Step:
    output = folder / "out" / f"{name}.json"
    return Step(name, "fake_step", {"output": output, **flags}, str(output))


def journal(folder) -> list[str]:
    return (folder / "out" / "journal").read_text().splitlines()


def run(folder, steps, settings=SETTINGS) -> tuple[dict, list[str]]:
    told: list[str] = []
    return reproduction_steps.run(str(folder), settings, steps, told.append), told


def plan(folder, steps, synthetic="") -> Plan:
    one, two = (str(folder / "out" / f"{name}.json") for name in ("one", "two"))
    rows = {
        "the paper": (Published(0.318, "Table 7"), None, Published(0.5, "Table 7")),
        "one": tuple(Measured((one,), path) for path in (
            ("share",), ("interval",), ("galleries", "v/*/recall@1"))),
        "both": (Measured((one, two), ("share",)), Measured((one, two), ("nowhere",)), None),
    }
    columns = (Column("share %"), Column("share", 1.0, 3), Column("R@1 %"))
    return Plan(
        "Nobody et al. 1999", SETTINGS, tuple(steps), (Table("Table 7: shares", columns, rows),),
        synthetic=synthetic,
        details=(Detail("more", lambda found: f"{len(found)} files", (one, two)),),
        figures={"drawn": str(folder / "out" / "a.png"), "not drawn": str(folder / "b.png")},
        notes=("Take it as it is.",),
    )


def test_the_report_has_the_numbers_of_the_steps(tmp_path):
    steps = [fake(tmp_path, "one", value=0.25), fake(tmp_path, "two", value=0.75)]
    records, _ = run(tmp_path, steps)
    (tmp_path / "out" / "a.png").write_bytes(b"")
    text = reproduction_report.write(plan(tmp_path, steps, "made up"), str(tmp_path), records)
    assert text == (tmp_path / "report.md").read_text()
    table = [line for line in text.splitlines() if line.startswith("|")][:5]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    assert cells[0] == ["", "share %", "share", "R@1 %"]
    assert cells[2] == ["the paper", "31.8", "-", "50.0"]
    # Half of the interval, and of several galleries the deviation; the largest number for *.
    assert cells[3] == ["one", "25.0", "0.250 ± 0.200", "25.0 ± 25.0"]
    spread = 100 * statistics.stdev([0.25, 0.75])
    assert cells[4] == ["both", f"50.0 ± {spread:.1f}", "-", "-"]
    assert "**SYNTHETIC**: made up" in text and "### SYNTHETIC: Table 7: shares" in text
    assert "### SYNTHETIC: more\n\n2 files" in text and "Take it as it is." in text
    assert "numbers of ours say nothing of the methods" in text
    assert "Other when" not in text
    assert "![drawn](out/a.png)" in text and "not drawn" not in text
    report = json.loads((tmp_path / "report.json").read_text())
    one = report["tables"][0]["rows"]["one"]
    for cell, leaf in zip(one, ("value", "estimate", "mean"), strict=True):
        value = json.loads(pathlib.Path(cell["reports"][0]).read_text())
        for key in cell["path"]:
            value = value[key]
        assert cell["value"] == (value if leaf == "value" else value[leaf]) == 0.25
    assert one[2]["path"] == ["galleries", "v/10/recall@1"]
    assert report["tables"][0]["rows"]["the paper"][0]["published"] == "Table 7"
    assert {"python", "tensorflow", "keras", "numpy", "crossmodal", "revision"} == set(
        report["environment"]["versions"])
    assert report["environment"]["hardware"]["cores"] == os.cpu_count()
    assert report["settings"] == SETTINGS
    assert report["seconds"] == pytest.approx(sum(r["seconds"] for r in records.values()), abs=0.1)


def test_a_report_says_which_steps_ran_elsewhere(tmp_path):
    steps = [fake(tmp_path, "one"), fake(tmp_path, "two")]
    run(tmp_path, steps)
    path = tmp_path / "steps" / "two.json"
    record = json.loads(path.read_text())
    record["environment"]["hardware"]["cores"] = 123
    path.write_text(json.dumps(record))
    records, _ = run(tmp_path, steps)
    text = reproduction_report.write(Plan("P", SETTINGS, (), ()), str(tmp_path), records)
    assert f"Other when these ran: `two`: hardware.cores: 123 -> {os.cpu_count()}." in text


def test_the_commands_of_the_report_can_be_typed(tmp_path):
    step = fake(tmp_path, "one", value=0.25)
    records, _ = run(tmp_path, [step])
    text = reproduction_report.write(
        Plan("P", SETTINGS, (step,), ()), str(tmp_path), records)
    shell = re.search(r"```bash\n(.*?)```", text, re.DOTALL)[1]
    (tmp_path / "out" / "one.json").unlink()
    subprocess.run(["bash", "-e"], input=shell.replace("python ", f"{sys.executable} ", 1),
                   text=True, check=True)
    assert (tmp_path / "out" / "one.json").exists()


def test_finished_steps_are_skipped_while_their_product_is_there(tmp_path):
    steps = [fake(tmp_path, "one"), fake(tmp_path, "two")]
    first, _ = run(tmp_path, steps)
    again, told = run(tmp_path, steps)
    assert again == first and journal(tmp_path).count("begin one") == 1
    assert [line.split(": ")[1].split(",")[0] for line in told] == ["done before"] * 2
    (tmp_path / "out" / "two.json").unlink()
    third, _ = run(tmp_path, steps)
    assert journal(tmp_path).count("begin one") == 1 and journal(tmp_path).count("begin two") == 2
    assert third["one"] == first["one"] and third["two"]["starts"] == 2


@pytest.mark.parametrize(("settings", "flags", "message"), [
    ({"size": "small"}, {}, "size: 'tiny' -> 'small'"),
    ({}, {"value": 3}, "one: '.*' -> '.*--value=3'"),
])
def test_another_job_in_the_folder_is_refused(tmp_path, settings, flags, message):
    run(tmp_path, [fake(tmp_path, "one")])
    with pytest.raises(ConfigurationError, match=f"holds a job of another .*{message}"):
        run(tmp_path, [fake(tmp_path, "one", **flags)], SETTINGS | settings)
    run(tmp_path, [fake(tmp_path, "one")])
    assert journal(tmp_path).count("begin one") == 1
    # Nor is a step of another command taken for this one where nothing says what the job was.
    (tmp_path / "job.json").unlink()
    run(tmp_path, [fake(tmp_path, "one", value=7)])
    assert journal(tmp_path).count("begin one") == 2


def test_a_step_that_fails_ends_the_job_with_its_name_and_log(tmp_path):
    steps = [fake(tmp_path, "one"), fake(tmp_path, "two", fail=True), fake(tmp_path, "three")]
    with pytest.raises(UserError) as caught:
        run(tmp_path, steps)
    log = tmp_path / "steps" / "two.log"
    assert str(caught.value) == (
        f"step two failed with status 1 (no disk is large enough); its log: {log}")
    assert "half way\nerror: no disk" in log.read_text()
    assert journal(tmp_path) == ["begin one", "end one", "begin two"]
    with pytest.raises(UserError, match=r"step two ended without writing .*two\.json; its log"):
        run(tmp_path / "b", [fake(tmp_path, "two", nothing=True)])


def start(folder) -> subprocess.Popen:
    """A job of two steps in a process of its own, once its second step works."""
    code = (
        "import pathlib, sys\nfrom test_reproduction import *\n"
        f"folder = pathlib.Path({str(folder)!r})\n"
        "steps = [fake(folder, 'one'), fake(folder, 'two')]\n"
        "(folder / 'out').mkdir()\n"
        "(folder / 'out' / 'slow').write_text('two')\n"
        "reproduction_steps.run(str(folder), SETTINGS, steps)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    path = folder / "out" / "journal"
    while not (path.exists() and "begin two" in path.read_text()):
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.05)
    return process


def alive(process: int) -> bool:
    """Whether a process works still; one that only waits to be reaped does not."""
    command = ["ps", "-o", "stat=", "-p", str(process)]
    found = subprocess.run(command, capture_output=True, text=True)
    return bool(found.stdout.strip()) and not found.stdout.startswith("Z")


def test_a_killed_job_goes_on_with_the_step_that_was_not_done(tmp_path):
    process = start(tmp_path)
    with pytest.raises(UserError, match="another process is at work in this folder"):
        run(tmp_path, [])
    time.sleep(1)
    process.kill()
    process.wait()
    child = int((tmp_path / "steps" / ".step.lock").read_text())
    assert alive(child)  # it outlives the kill
    steps = [fake(tmp_path, "one"), fake(tmp_path, "two")]
    # Another job is refused and ends nothing.
    with pytest.raises(ConfigurationError, match="holds a job of another configuration"):
        run(tmp_path, steps, SETTINGS | {"size": "full"})
    assert alive(child)
    (tmp_path / "out" / "slow").unlink()
    records, told = run(tmp_path, steps)
    assert told[0] == f"ending a step that a killed start left behind (process {child})"
    assert not alive(child)
    assert journal(tmp_path) == ["begin one", "end one", "begin two", "begin two", "end two"]
    assert records["two"]["starts"] == 2 and records["one"]["starts"] == 1
    # The time of the killed start counts, as far as it was written down.
    assert records["two"]["finished"] and records["two"]["seconds"] > 0


def test_a_signal_ends_the_step_and_the_job(tmp_path):
    process = start(tmp_path)
    child = int((tmp_path / "steps" / ".step.lock").read_text())
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    assert not alive(child)
    assert not json.loads((tmp_path / "steps" / "two.json").read_text())["finished"]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"--output=.*: cannot be written"):
        run(tmp_path / "file" / "folder", [])


def test_the_environment_is_that_of_this_process():
    found = environment.describe()
    assert found["versions"]["python"] == sys.version.split()[0]
    assert found["versions"]["numpy"] == numpy.__version__
    git = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    assert found["versions"]["revision"].removesuffix("+") == (git.stdout.strip() or "unknown")
    assert found["hardware"]["cores"] >= found["hardware"]["usable_cores"] >= 1
    assert found["hardware"]["memory_gb"] > 1 and found["hardware"]["processor"]
    assert json.loads(json.dumps(found)) == found
