"""The commands of the pages run: each in its page's order, at a small size."""

import re

import documented_commands as table
import documented_runs
import page_commands
import pytest

PAGES = [path for path in page_commands.pages() if page_commands.commands(path)]


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    runner = documented_runs.Runner(tmp_path_factory.mktemp("commands"))
    yield runner
    runner.server.close()
    print(documented_runs.shown(runner.cpu_seconds))


def commands_of(text, folder):
    path = folder / "page.md"
    path.write_text(f"```\n{text}\n```\n")
    return page_commands.commands(path, folder)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_every_command_of_a_page_runs(page, runner):
    wrong, _ = runner.run_page(page)
    assert not wrong, "\n".join(wrong)


def test_every_exception_is_of_a_command_in_the_pages():
    texts = [" ".join(c.words) for page in PAGES for c in page_commands.commands(page)]
    for rule in (*table.EXCEPTIONS, *table.NEEDED):
        assert any(re.search(rule, text) for text in texts), rule


def test_a_command_is_made_small():
    given = ["--output=/data/x", "--set=picture_size=96,clip_seconds=1.2", "--set=looks=any",
             "--num_clips=2000", "--swap_pairs=0"]
    small = table.shrink("launch.make_scenes", given, "/box")
    assert {"--output=/box/data/x", "--num_clips=96", "--swap_pairs=0", "--clips_per_shard=12",
            "--set=picture_size=96,clip_seconds=1.2,looks=any"} <= set(small)
    assert "num_clips" not in small[-1] and "max_steps" in small[-1].removeprefix("--undefok=")
    given = ["--grid=rate=1,2,3 units=4,5", "--eval_pattern=gs://a/*,/b/*", "--max_steps=1"]
    small = table.shrink("launch.sweep_avc", given, "/box")
    assert {"--grid=rate=1 units=4", "--eval_pattern=/box/gs/a/*,/box/b/*",
            "--max_steps=1"} <= set(small)
    given = ["--output=/tmp/x", "--train_videos=800"]
    small = table.shrink("testdata.make_yt8m_seconds", given, "/box")
    assert small == ["--output=/box/tmp/x", "--train_videos=60"]


def test_the_seeds_of_a_loop_run_once(tmp_path):
    text = "for a in x y; do for n in 0 1; do\n  python -m m --of=$a$n\ndone; done"
    chosen = documented_runs.once_a_line(commands_of(text, tmp_path))
    assert [c.arguments for c in chosen] == [["--of=x0"], ["--of=y0"]]
