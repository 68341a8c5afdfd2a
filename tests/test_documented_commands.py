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


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_every_command_of_a_page_runs(page, runner):
    wrong, _ = runner.run_page(page)
    assert not wrong, "\n".join(wrong)


def test_every_exception_is_of_a_command_in_the_pages():
    texts = [" ".join(c.words) for page in PAGES for c in page_commands.commands(page)]
    for rule in (*table.EXCEPTIONS, *table.NEEDED):
        assert any(re.search(rule, text) for text in texts), rule
