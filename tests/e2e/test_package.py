"""The Debian package: what is in it, and that apt puts it there and takes it away again, in a copy of this machine."""

import shutil
import subprocess

import pytest
from conftest import ROOT
from package import CHROOT, in_a_copy, made

INSIDE = """
apt="apt-get --yes --quiet --quiet --no-install-recommends -o Dpkg::Use-Pty=0"
wanted=/etc/systemd/system/multi-user.target.wants/doorbell.service
$apt install /srv/first.deb >&2
doorbell --version
test -L $wanted
test -z "$(dpkg --verify doorbell)"
echo '# mine' >> /etc/doorbell/doorbell.toml
echo DATABASE_PASSWORD=mine > /etc/doorbell/environment
systemctl --root=/ disable doorbell.service
$apt install /srv/second.deb >&2
dpkg-query --show --showformat '${Version}\\n' doorbell
tail -1 /etc/doorbell/doorbell.toml
test ! -e $wanted
mkdir -p /var/lib/private/doorbell
$apt remove doorbell >&2
test ! -e /usr/bin/doorbell
tail -1 /etc/doorbell/doorbell.toml
$apt purge doorbell
test -d /var/lib/private/doorbell
find /etc /usr /var/lib/systemd -name '*doorbell*'
ls /etc/doorbell
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("package")
    # The binary under test wants shared libraries; what ships does not.
    stub = folder / "doorbell"
    stub.write_text("#!/bin/sh\necho a stub\n")
    return made(folder, stub)


def test_the_package_has_its_files_and_they_are_root_s(packages):
    listed = subprocess.run(["dpkg-deb", "-c", packages[0]], check=True, capture_output=True, text=True).stdout
    files = {}
    for line in listed.splitlines():
        mode, owner, *_, name = line.split()
        assert owner == "root/root", line
        files[name] = mode
    for name, mode in {"bin/doorbell": "rwxr-xr-x", "lib/systemd/system/doorbell.service": "rw-r--r--"}.items():
        assert files[f"./usr/{name}"] == f"-{mode}"
    assert not any(mode[8] == "w" for mode in files.values())


def test_apt_installs_upgrades_removes_and_purges_it(packages):
    told = in_a_copy(packages, CHROOT, INSIDE=INSIDE).splitlines()
    assert told[:4] == ["a stub", "1:0.1.0", "# mine", "# mine"]
    # What the user wrote is left, and said to be.
    left = "is left; remove it yourself when you no longer need it"
    assert [line for line in told if left in line] == [
        f"doorbell: {path} {left}" for path in ("/var/lib/private/doorbell", "/etc/doorbell/environment")]
    assert told[-2:] == ["/etc/doorbell", "environment"]


def test_systemd_understands_the_unit(packages, tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is in Debian's package systemd")
    tree = tmp_path / "tree"
    subprocess.run(["dpkg-deb", "-x", packages[0], tree], check=True)
    unit = ROOT / "deploy/systemd/doorbell.service"
    own = tmp_path / "doorbell.service"
    own.write_text(unit.read_text().replace("/usr/bin/doorbell", str(tree / "usr/bin/doorbell")))
    for words in (["verify"], ["security", "--offline=true", "--threshold=20"]):
        done = subprocess.run(["systemd-analyze", *words, own], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
