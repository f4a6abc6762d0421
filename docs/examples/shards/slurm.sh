#!/bin/bash
# A gate as an array of eight jobs on a file system that all nodes share:
#   jobs=$(sbatch --parsable --array=1-8 slurm.sh)
#   sbatch --dependency=afterany:$jobs --wrap "touchstone merge evals-store --report run.html"
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
set -euo pipefail
export HF_HUB_OFFLINE=1 # nodes that reach no hub: models and data sets were fetched before, with touchstone fetch
pytest evals --shard auto --store evals-store
