#!/usr/bin/env bash
# Ends the cluster that up.sh started in FOLDER, and nothing else: bash down.sh FOLDER
folder=$(realpath -m "${1:?usage: down.sh FOLDER}")
# Jobs outlive the daemons, so they end first.
scancel --user=root 2>/dev/null
for _ in $(seq 60); do
    [ -z "$(squeue --noheader 2>/dev/null)" ] && break
    sleep 0.5
done
for daemon in slurmd slurmctld munged; do
    pid=$(cat "$folder/run/$daemon.pid" 2>/dev/null) || continue
    # After a restart of the machine the number may be another process's.
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$daemon" ] || continue
    kill "$pid" 2>/dev/null
    for _ in $(seq 40); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.25
    done
    kill -9 "$pid" 2>/dev/null
done
[ "$(readlink /etc/slurm/slurm.conf)" = "$folder/slurm.conf" ] && rm /etc/slurm/slurm.conf
exit 0
