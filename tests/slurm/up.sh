#!/usr/bin/env bash
# A SLURM cluster of one node on this machine, without systemd, cgroups or accounting: as root, bash up.sh FOLDER OWNER
# OWNER is a process and its start, and stands at the head of slurm.conf: once it is gone, the cluster may be ended.
# Its state, logs and munge key stay in FOLDER; down.sh ends it. The node claims 2 CPUs and 32 GB, whatever the machine has.
set -euo pipefail
folder=$(realpath -m "${1:?usage: up.sh FOLDER OWNER}")
node=$(uname -n | cut -d. -f1)
mkdir -p "$folder"/{munge,state,spool,log,run}
chmod 755 "$folder"
chmod 700 "$folder/munge"
head -c 1024 /dev/urandom >"$folder/munge/key"
chmod 600 "$folder/munge/key"

cat >"$folder/slurm.conf" <<CONF
# Made by tests/slurm/up.sh in $folder for process ${2:?usage: up.sh FOLDER OWNER}
ClusterName=tests
SlurmctldHost=$node(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
SlurmdUser=root
AuthInfo=socket=$folder/run/munge.sock
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/slurmd.pid
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
AccountingStorageType=accounting_storage/none
# Memory is measured every second, and who has too much is killed: needs no cgroups.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,batch_sched_delay=0,bf_interval=1
SlurmdParameters=config_overrides
KillWait=2
# All jobs of the tests are remembered.
MinJobAge=7200
NodeName=$node NodeAddr=127.0.0.1 CPUs=2 RealMemory=32000
PartitionName=main Nodes=$node Default=YES DefMemPerCPU=512
CONF
# Jobs do not inherit SLURM_CONF, so the file has to be where SLURM looks for it.
mkdir -p /etc/slurm
ln -sf "$folder/slurm.conf" /etc/slurm/slurm.conf

munged --force --key-file="$folder/munge/key" --socket="$folder/run/munge.sock" --pid-file="$folder/run/munged.pid" \
    --log-file="$folder/log/munged.log" --seed-file="$folder/munge/seed" </dev/null
slurmctld -c </dev/null
slurmd -c -N "$node" </dev/null
for _ in $(seq 60); do
    [ "$(sinfo --noheader --format=%T 2>/dev/null)" = idle ] && exit 0
    sleep 0.5
done
echo "SLURM did not come up:" >&2
tail -n 20 "$folder"/log/*.log >&2
exit 1
