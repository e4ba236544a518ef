"""Shell completion: the script that `shortener completion` prints, and what it answers."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import environment, run

PROGRAM = Path(sys.executable).parent / "shortener"
WORDS = {  # what was typed up to the tab -> some of what is offered
    "shortener ex": {"expand", "export"},
    "shortener keys ": {"list", "create", "revoke"},
    "shortener shorten --exp": {"--expires", "--expired-url"},
    "shortener list --sort ": {"created", "-created", "-clicks"},
    "shortener edit x --clear ma": {"max_clicks"},
    "shortener completion ": {"bash", "zsh", "fish"},
}


def offered(words: str, script: str) -> set[str]:
    """What a real bash would offer after `words` and a tab."""
    typed = words.split(" ")
    lines = [
        script,
        f"COMP_WORDS=({' '.join(word or chr(39) * 2 for word in typed)})",
        f"COMP_CWORD={len(typed) - 1}",
        "$(complete -p shortener | sed 's/.*-F \\([^ ]*\\).*/\\1/') shortener",
        'printf "%s\\n" "${COMPREPLY[@]}"',
    ]
    path = f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        ["bash", "--norc", "-c", "\n".join(lines)],
        env=environment() | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return set(ended.stdout.split())


@pytest.mark.parametrize(("words", "wanted"), WORDS.items(), ids=WORDS)
def test_bash_completes_commands_options_and_choices(words: str, wanted: set[str]) -> None:
    """In a real bash that has read the script."""
    printed = run("completion", "bash")
    assert printed.returncode == 0, printed.stderr
    found = offered(words, printed.stdout)
    assert found == wanted


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_their_own_script(shell: str, tmp_path: Path) -> None:
    """It names our command and asks it in that shell's way; the shell can read it where it is."""
    printed = run("completion", shell)
    assert printed.returncode == 0
    assert f"_SHORTENER_COMPLETE={shell}_complete" in printed.stdout
    program = shutil.which(shell)
    if program is not None:
        script = tmp_path / "script"
        script.write_text(printed.stdout)
        subprocess.run([program, "-n", script], check=True)
    asked = {
        "_SHORTENER_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": "shortener exp",
        "COMP_CWORD": "1" if shell == "zsh" else "exp",
    }
    answered = subprocess.run(
        [PROGRAM], env=environment() | asked, capture_output=True, text=True, timeout=30, check=True
    )
    assert "expand" in answered.stdout
    assert "shorten\n" not in answered.stdout
