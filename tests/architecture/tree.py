"""Where the files are."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
GATEWAY = ROOT / "gateway"


def run_tool(name: str, *arguments: str) -> tuple[int, str]:
    """Run a tool of this environment on the project; return its exit code and what it said."""
    command = [str(Path(sys.executable).parent / name), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def modules() -> list[Path]:
    """Every Python file of the package."""
    return sorted(GATEWAY.rglob("*.py"))


def written() -> list[Path]:
    """Every file that people wrote and read: code, pages, documents, settings."""
    kinds = {".py", ".md", ".toml", ".html", ".css", ".js", ".php", ".mako", ".service", ".yaml", ".yml"}
    folders = [GATEWAY, ROOT / "migrations", ROOT / "docs"]
    inside = [
        path for folder in folders for path in folder.rglob("*") if path.suffix in kinds and ".min." not in path.name
    ]
    ours = [path for path in inside if ".min." not in path.name]
    return sorted([*ours, *ROOT.glob("*.md"), *ROOT.glob("*.toml"), *ROOT.glob("*.py")])
