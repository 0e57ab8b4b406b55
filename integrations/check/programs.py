"""Programs that print a line for each check, and the environments that they run in."""

import subprocess
import sys


def python(folder, install, *wanted):
    """A Python of its own in the folder; `wanted` is what pip gets it, with --install."""
    program = folder / "bin" / "python"
    if install:
        if not program.exists():
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([program, "-m", "pip", "install", "-q", *wanted], check=True)
    return str(program)


def run(name, command, env, folder=None, least=1):
    """Runs one in a folder and prints what it found; how many checks passed and failed.

    One that ends badly, or makes fewer checks than `least`, has failed.
    """
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    lines = [line for line in done.stdout.splitlines() if line.startswith(("ok ", "FAILED "))]
    for line in lines:
        print(f"{line[:8]}{name:14} {line[8:]}", flush=True)
    failed = sum(line.startswith("FAILED") for line in lines)
    passed = len(lines) - failed
    if done.returncode != 0 or len(lines) < least:
        print(f"FAILED  {name:14} it broke: {(done.stdout + done.stderr).strip()[-1500:]}", flush=True)
        failed += 1
    return passed, failed
