"""``edgekit completion``: lets a shell complete commands, options and files."""

import click

# The \b keeps click from joining the lines below it.
HELP = """Print the completion script for SHELL.

\b
bash: edgekit completion bash > ~/.local/share/bash-completion/completions/edgekit
zsh:  edgekit completion zsh > ~/.zfunc/_edgekit     (with ~/.zfunc in fpath, before compinit)
fish: edgekit completion fish > ~/.config/fish/completions/edgekit.fish
"""


@click.command(help=HELP)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for *shell*, as click makes it for the program's root."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None, "click knows each shell that the argument allows"
    root = click.get_current_context().find_root()
    click.echo(kind(root.command, {}, "edgekit", "_EDGEKIT_COMPLETE").source())
