"""Shell completion: the script that a shell reads to complete commands, options and files."""

import click
from click.shell_completion import get_completion_class

PROGRAM = "shortener"
VARIABLE = "_SHORTENER_COMPLETE"  # by which the script asks; read by click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes our commands in SHELL.

    \b
    bash: echo 'eval "$(shortener completion bash)"' >> ~/.bashrc
    zsh:  echo 'eval "$(shortener completion zsh)"' >> ~/.zshrc
    fish: shortener completion fish > ~/.config/fish/completions/shortener.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - one of click's own
    print(kind(context.find_root().command, {}, PROGRAM, VARIABLE).source())


COMMANDS = (completion,)
