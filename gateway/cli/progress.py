"""A bar per kind of thing that a long command goes through."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

Hear = Callable[[str, int, int | None], None]


@contextmanager
def progress_bar() -> Iterator[Hear]:
    """Yield what is told of each kind: its name, how many are done, and of how many."""
    columns = (TextColumn("{task.description:>16}"), BarColumn(), MofNCompleteColumn())
    console = Console()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        tasks: dict[str, TaskID] = {}

        def hear(kind: str, done: int, total: int | None) -> None:
            if kind not in tasks:
                tasks[kind] = progress.add_task(kind, total=total)
            progress.update(tasks[kind], completed=done, total=total)

        yield hear
