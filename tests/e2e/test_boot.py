"""The Debian package on a machine that runs: systemd boots in a copy of this one, and starts, restarts and stops Doorbell in its
cage. Wants root and systemd-nspawn (Debian's package systemd-container).
"""

import shutil

import pytest
from conftest import BINARY
from package import in_a_copy, made

# The package holds a stub, since the binary under test wants shared libraries.
BINARY_INSIDE = "/usr/local/lib/doorbell"
BOOT = """
cp "$UNDER_TEST" usr/local/lib/doorbell
printf '%s' "$INSIDE" > srv/inside.sh
rm -rf etc/systemd/system/*.wants
: > etc/fstab
echo 00000000000000000000000000000001 > etc/machine-id
mkdir etc/systemd/system/multi-user.target.wants
ln -s ../trial.service etc/systemd/system/multi-user.target.wants/
cat > etc/systemd/system/trial.service <<'X'
[Service]
Type=oneshot
ExecStart=/bin/bash -eux /srv/inside.sh
StandardOutput=file:/told
StandardError=file:/traced
ExecStopPost=/bin/sh -c 'echo $SERVICE_RESULT >> /told; systemctl --no-block poweroff'
X
timeout 90 systemd-nspawn --boot --quiet --register=no --keep-unit --private-network --directory . > console 2>&1 || true
cat traced console >&2
cat told
"""
INSIDE = """
export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive
apt="apt-get --yes --quiet --quiet --no-install-recommends -o Dpkg::Use-Pty=0"
at() { doorbell "$@" --data-dir /var/lib/doorbell; }
main() { systemctl show --property MainPID --value doorbell; }
wait_for() { for _ in $(seq 100); do "$@" > /dev/null 2>&1 && return; sleep 0.1; done; "$@"; }
$apt install /srv/first.deb >&2
wait_for at health
first=$(main)
grep -E '^(NoNewPrivs|Seccomp|CapEff):' /proc/$first/status | tr -d '\t'
stat --format '%U %a' /var/lib/private/doorbell
at source create kept --provider none >&2
curl --silent --fail http://127.0.0.1:8080/in/kept --data '{}' >&2
$apt install /srv/second.deb >&2
wait_for at health
test "$(main)" != "$first"
at event list --json | grep --count evt_
systemctl kill --signal KILL doorbell
sleep 2
wait_for at health
systemctl show --property NRestarts doorbell
! journalctl --unit doorbell | grep login?code=
systemctl disable --now doorbell
$apt install --reinstall /srv/second.deb >&2
echo "$(systemctl is-active doorbell) $(systemctl is-enabled doorbell)"
systemctl enable --now doorbell
wait_for at health
$apt purge doorbell >&2
test ! -d /proc/$(pidof doorbell || echo none)
"""


def test_systemd_runs_what_the_package_installs(tmp_path):
    if not shutil.which("systemd-nspawn"):
        pytest.skip("systemd-nspawn is in Debian's package systemd-container")
    stub = tmp_path / "doorbell"
    stub.write_text(f'#!/bin/sh\nexec {BINARY_INSIDE} "$@"\n')
    told = in_a_copy(made(tmp_path, stub), BOOT, INSIDE=INSIDE, UNDER_TEST=BINARY).splitlines()
    # The only right is that to ports below 1024.
    assert told == ["CapEff:0000000000000400", "NoNewPrivs:1", "Seccomp:2", "doorbell 700", "1", "NRestarts=1",
                    "inactive disabled", "success"]
