"""The program ``edgekit-agent``."""

from typing import NoReturn

from edgekit.cli.main import run_command
from edgekit_agent.commands import agent


def main() -> NoReturn:
    """Run the agent's command line and exit."""
    run_command(agent, program="edgekit-agent")


if __name__ == "__main__":
    main()
