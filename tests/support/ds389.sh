# A 389 Directory Server of its own: in a mount namespace, so that nothing of this host's /etc/dirsrv is touched, and as the
# first process of a process namespace, so that everything ends with it. It ends when its standard input does.
# $1 folder, $2 ldap port, $3 ldaps port
set -eu
dir=$1
for path in etc/dirsrv var/lib/dirsrv var/log/dirsrv; do
  mkdir -p "$dir/$path"
  cp -a "/$path/." "$dir/$path/"
  mount --bind "$dir/$path" "/$path"
done
mount -t tmpfs none /run
mkdir -p /run/dirsrv /run/lock/dirsrv "$dir/bin"
chown dirsrv:dirsrv /run/dirsrv /run/lock/dirsrv
# dscreate asks systemd to start what it made; there is none here.
cat >"$dir/bin/systemctl" <<'S'
#!/bin/sh
pid=/run/dirsrv/slapd-twinlock.pid
case "$1" in
is-active) [ -e $pid ] && kill -0 "$(cat $pid)" 2>/dev/null ;;
start)
  /usr/sbin/ns-slapd -D /etc/dirsrv/slapd-twinlock -i $pid
  for _ in $(seq 600); do
    if grep -q 'slapd started' /var/log/dirsrv/slapd-twinlock/errors 2>/dev/null; then exit 0; fi
    sleep 0.1
  done
  exit 1 ;;
stop)
  kill "$(cat $pid)"
  while kill -0 "$(cat $pid)" 2>/dev/null; do sleep 0.1; done
  rm -f $pid /var/log/dirsrv/slapd-twinlock/errors ;;
esac
S
chmod 0755 "$dir/bin/systemctl"
export PATH="$dir/bin:$PATH"
cat >"$dir/instance" <<L
[general]
config_version = 2
full_machine_name = localhost
start = True
strict_host_checking = False
[slapd]
instance_name = twinlock
port = $2
secure_port = $3
root_password = manager password
self_sign_cert = True
[backend-userroot]
suffix = dc=example,dc=org
create_suffix_entry = True
sample_entries = no
L
dscreate from-file "$dir/instance" >"$dir/log" 2>&1 || { tail -5 "$dir/log"; exit 1; }
systemctl is-active || systemctl start
cp /etc/dirsrv/ssca/ca.crt "$dir/ca.pem"
chmod 0644 "$dir/ca.pem"
echo ready
exec cat >/dev/null
