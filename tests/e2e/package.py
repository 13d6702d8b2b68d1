"""The Debian package, and copies of this machine to try it in, which are thrown away with all that was done to them."""

import os
import shutil
import subprocess

import pytest

# A root file system over this machine's: what is written to it goes to memory, and is gone at the end.
COPY = """
space=$(mktemp -d)
mount -t tmpfs tmpfs "$space"
mkdir "$space"/upper "$space"/work "$space"/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$space/upper,workdir=$space/work" "$space/root"
cd "$space/root"
rm -f usr/sbin/policy-rc.d
cp "$FIRST" srv/first.deb
cp "$SECOND" srv/second.deb
"""
CHROOT = """
mount --rbind /dev dev
mount -t proc proc proc
exec chroot . sh -eu -c "$INSIDE"
"""


def made(folder, binary):
    """Two packages, the second of a later version."""
    xtask = [os.environ["XTASK"], "dist", "deb", "--binary", binary, "--into", folder]
    first = subprocess.run(xtask, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
    tree, second = folder / "again", folder / "second.deb"
    subprocess.run(["dpkg-deb", "-R", first, tree], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(control.read_text().replace("\nVersion: ", "\nVersion: 1:"))
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, second], check=True, capture_output=True)
    return first, second


def in_a_copy(packages, after, **environment):
    """Runs this shell script in the copy's root folder, with both packages in its `srv`."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        pytest.skip("packages are tried by root, on Debian")
    words = ["unshare", "--mount", "--propagation", "private", "bash", "-euc", COPY + after]
    variables = {"FIRST": packages[0], "SECOND": packages[1], "DEBIAN_FRONTEND": "noninteractive", **environment}
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, env={**os.environ, **variables})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
