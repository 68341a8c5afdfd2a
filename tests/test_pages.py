"""Every command that a page or a docstring shows has flags, values and fields that there are."""

import itertools
import shutil

import page_checks
import page_commands
import pytest
from page_commands import ROOT, PageError


def read(text, tmp_path, name="page.md"):
    path = tmp_path / name
    path.write_text(text)
    return page_commands.commands(path, tmp_path)


def test_every_command_has_flags_values_and_fields_that_there_are():
    """Of README.md, docs, docstrings and scripts; a new one is found without a word here."""
    paths = page_commands.pages() + page_commands.scripts()
    commands = list(itertools.chain.from_iterable(map(page_commands.commands, paths)))
    assert not page_checks.problems(commands)
    of_pages = [command for command in commands if command.page.endswith(".md")]
    assert len(of_pages) > 100 and len(commands) - len(of_pages) > 60


def test_every_command_of_launch_has_an_example():
    shown = {c.module for path in page_commands.scripts() for c in page_commands.commands(path)}
    runs = {f"launch.{path.stem}" for path in (ROOT / "launch").glob("*.py")
            if "commands.run(main)" in path.read_text()}
    assert runs and not runs - shown


def test_links_lead_to_files_and_headings_that_there_are():
    paths = [*page_commands.pages(), ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
    assert not [problem for path in paths for problem in page_checks.link_problems(path)]


def test_python_blocks_use_names_that_there_are():
    assert not [p for path in page_commands.pages() for p in page_checks.python_problems(path)]


def test_names_that_there_are_not_are_found(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(
        "#\n```python\nimport avc\nfrom crossmodal import index, gone\nindex.exact(1)\n"
        "index.nothing(2)\navc.load('x').embed_visual(3)\n```\n```python\nmodel = =\n```\n"
    )
    assert page_checks.python_problems(path, tmp_path) == [
        "page.md:3: there is no crossmodal.gone",
        "page.md:3: there is no crossmodal.index.nothing",
        "page.md:10: invalid syntax",
    ]


def test_flags_that_sentences_mention_are_flags_of_a_command():
    known = page_checks.all_flags()
    assert "grid" in known and len(known) > 150 and not known & page_checks.OF_OTHERS
    assert not [
        problem for path in page_commands.pages()
        for problem in page_checks.mention_problems(path, known | page_checks.OF_OTHERS)
    ]


def test_a_shell_reads_the_blocks(tmp_path):
    """Continuations, loops, variables, substitutions, pipes and what stands before a command."""
    text = """Words: `python -m nothing`.

```
python -m one --a='b c' \\
    --d="$CROSSMODAL_DATA/*"    # a remark
for part in x:1 y:2; do
  SEED=3 python -m two --of=${part%:*} \\
      $([ $part = y:2 ] && echo --last) > log.txt
done
```
```python
print("no command")
```
- in a list
  ```bash
  first && second | third &
  again="python -m one"
  $again --e 2>&1
  .venv/bin/python -m four
  ```
"""
    found = [(c.line, *c.words, *c.variables) for c in read(text, tmp_path)]
    found.remove((16, "third"))  # both ends of a pipe start together
    assert found == [
        (4, "python", "-m", "one", "--a=b c", "--d=$CROSSMODAL_DATA/*"),
        (7, "python", "-m", "two", "--of=x", ("SEED", "3")),
        (7, "python", "-m", "two", "--of=y", "--last", ("SEED", "3")),
        (16, "first"), (16, "second"),
        (18, "python", "-m", "one", "--e"),
        (19, "python", "-m", "four"),
    ]
    assert not list(tmp_path.glob("log*"))


def test_a_docstring_shows_commands_by_indenting_them(tmp_path):
    text = 'r"""Does.\n\nExample:\n\n  python -m launch.x --a=1 \\\n    --b=2\n\npython -m y\n"""\n'
    (command,) = read(text, tmp_path, "x.py")
    assert (command.where, command.arguments) == ("x.py:5", ["--a=1", "--b=2"])


TRAIN = "python -m launch.train_avc --train_pattern=x --workdir=y"
BAD = {
    "python -m launch.train_cva --workdir=x": "there is no launch.train_cva",
    f"{TRAIN} --learning_rate=1": "Unknown command line flag 'learning_rate'",
    "python -m launch.train_avc --workdir=y": "--train_pattern",
    f"{TRAIN} --recipe=ave_tiny": "ave_tiny",
    "python -m launch.sweep_windows --recipe=ave_tiny": "there is no recipe ave_tiny",
    f"{TRAIN} --max_steps=many": "max_steps",
    f"{TRAIN} --batch_size=-1": "batch_size",
    f"{TRAIN} 100": "unexpected argument '100'",
    f"{TRAIN} --set=learning_speed=1": "learning_speed",
    f"{TRAIN} --set=learning_rate=fast": "learning_rate",
    f"{TRAIN} --set=image_size": "name=value",
    f"{TRAIN.replace('train_avc', 'sweep_avc')} --eval_pattern=z --grid=speed=1,2": "speed",
    "python -m launch.train_yt8m --train_pattern=x --workdir=y --set=image_size=2": "image_size",
    "python -m launch.make_scenes --output=x --set=loudness=1": "loudness",
    "python -m launch.make_scenes --output=x --only=unicorn": "unicorn",
    "python -m launch.make_narrations --output=x --set=speed=1": "speed",
    "python -m launch.label_pairs --output=x --set=speed=1": "speed",
    "python -m testdata.make_yt8m_seconds --output=x --videos=3": "--videos=3",
    "python -m testdata.make_nothing": "there is no testdata.make_nothing",
    "bash launch/deno.sh": "there is no launch/deno.sh",
    "pyton -m launch.train_avc": "'pyton' is no program that is known",
}


def test_bad_commands_are_found_by_file_and_line(tmp_path):
    (tmp_path / "docs").mkdir()
    for number, (command, problem) in enumerate(BAD.items()):
        page = f"docs/{number}.md"
        (found,) = page_checks.problems(read(f"# Page\n\n```\n{command}\n```\n", tmp_path, page))
        assert found.startswith(f"{page}:4: ") and problem in found


@pytest.mark.parametrize(("block", "where"), [
    ("python -m launch.search --database=$DATABASE", "page.md:3: bash says: DATABASE"),
    ("id,name\n./cat,3", "page.md:4: bash says"),
    ("for a in b; do\n  python -m launch.search\n", "page.md:"),
])
def test_a_block_that_bash_does_not_understand_is_found(block, where, tmp_path):
    with pytest.raises(PageError, match=where):
        read(f"#\n```\n{block}\n```\n", tmp_path)


def test_bad_links_are_found_by_file_and_line(tmp_path):
    shutil.copy(ROOT / "README.md", tmp_path / "other.md")
    (tmp_path / "other.md").write_text("# One, `two` & three\n\n## Same\n\n## Same\n")
    path = tmp_path / "page.md"
    path.write_text(
        "# Here\n[a](other.md#one-two--three) [b](#here) [c](other.md#same-1)\n"
        "[d](gone.md)\n[e](other.md#two)\n[f](#there)\n<img src=\"gone.png\">\n"
        "[g](https://example.org/#x) launch/gone.py\n"
    )
    assert page_checks.link_problems(path, tmp_path) == [
        "page.md:3: there is no gone.md",
        "page.md:4: other.md has no heading #two",
        "page.md:5: this page has no heading #there",
        "page.md:6: there is no gone.png",
        "page.md:7: there is no launch/gone.py",
    ]


def test_flags_in_sentences_that_no_command_has_are_found(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("With `--recipe=ave`, `--norandom_weights`\nand `--learning_rate=1`.\n")
    found = page_checks.mention_problems(path, page_checks.all_flags(), tmp_path)
    assert found == ["page.md:2: no command has --learning_rate"]
