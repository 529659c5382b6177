"""What is submitted to clusters, as far as that can be checked without one."""

from __future__ import annotations

import configparser
import json
import os
import re
import signal
import subprocess
import time
from dataclasses import fields
from pathlib import Path

import pytest

from catalog import RECIPES
from keras_resnet.config.run import Run
from keras_resnet.facts import tpus
from keras_resnet.training.jax import clusters

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "recipes" / "cluster"
FILES = {file.name: file.read_text(encoding="utf-8") for file in sorted(CLUSTER.iterdir()) if file.is_file()}
SCRIPTS = sorted(CLUSTER.glob("*.s*"))
MANIFEST, TPU_MANIFEST = "jobset.yaml", "jobset_tpu.yaml"
STRATEGIES = {
    "jobset.yaml": {"multi_worker"},
    "jobset_tpu.yaml": {"tpu"},
    "slurm.sbatch": {"multi_worker", "multi_process"},
    "tpu_vm.sh": {"tpu"},
}
COMPLETION_INDEX = "metadata.annotations['batch.kubernetes.io/job-completion-index']"


def test_every_file_was_found():
    assert set(FILES) == {"slurm.sbatch", "tpu_vm.sh", MANIFEST, TPU_MANIFEST}
    assert len(SCRIPTS) == 2


@pytest.mark.parametrize("name", FILES)
def test_every_flag_is_a_field_of_a_run(name):
    flags = {flag.replace("-", "_") for flag in re.findall(r"--run\.([\w-]+)", FILES[name])}
    assert {"strategy", "directory", "data_directory", "resume"} <= flags
    assert flags <= {field.name for field in fields(Run)}


@pytest.mark.parametrize("name", FILES)
def test_every_recipe_exists(name):
    named = re.findall(r"\b(?:cifar100?|digits|folder|imagenet)\d*-\w+", FILES[name])
    assert named
    assert set(named) <= set(RECIPES)


@pytest.mark.parametrize("name", FILES)
def test_strategies_are_those_of_a_run(name):
    found = re.findall(r"(?:--run\.strategy[\s-]+|\bstrategy=)(\w+)", FILES[name])
    assert {Run(strategy=strategy).strategy for strategy in found} == STRATEGIES[name]


@pytest.mark.parametrize("name", FILES)
def test_no_address_is_named(name):
    assert not re.search(r"https?:|index-url|find-links|\.(com|org|io)/\w+\.html", FILES[name])


# Kubernetes


@pytest.fixture(scope="module", params=[MANIFEST, TPU_MANIFEST])
def manifest(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def jobset(manifest):
    yaml = pytest.importorskip("yaml", reason="PyYAML reads the manifest")
    return yaml.safe_load(FILES[manifest])


@pytest.fixture(scope="module")
def job(jobset):
    [replicated] = jobset["spec"]["replicatedJobs"]
    return replicated["template"]["spec"]


@pytest.fixture(scope="module")
def container(job):
    [container] = job["template"]["spec"]["containers"]
    return container


def environment(container, index: int) -> dict[str, str]:
    """The container's variables as Kubernetes makes them: $(NAME) is replaced where NAME stands before it."""
    known: dict[str, str] = {}
    for variable in container["env"]:
        if "valueFrom" in variable:
            assert variable["valueFrom"] == {"fieldRef": {"fieldPath": COMPLETION_INDEX}}
            known[variable["name"]] = str(index)
        else:
            replace = lambda match: known.get(match[1], match[0])  # noqa: E731
            known[variable["name"]] = re.sub(r"\$\((\w+)\)", replace, variable["value"])
    return known


@pytest.mark.parametrize("manifest", [MANIFEST], indirect=True)
def test_tf_config_tells_every_pod_who_it_is(jobset, job, container):
    for index in range(job["completions"]):
        config = json.loads(environment(container, index)["TF_CONFIG"])
        assert config["task"] == {"type": "worker", "index": index}
        assert set(config["cluster"]) == {"worker"}
        assert len(config["cluster"]["worker"]) == job["parallelism"] == job["completions"]


@pytest.mark.parametrize("manifest", [MANIFEST], indirect=True)
def test_workers_have_the_host_names_that_jobset_gives_them(jobset, job, container):
    [replicated] = jobset["spec"]["replicatedJobs"]
    network, name = jobset["spec"]["network"], jobset["metadata"]["name"]
    assert jobset["apiVersion"] == "jobset.x-k8s.io/v1alpha2"
    assert network["enableDNSHostnames"] and network["publishNotReadyAddresses"]
    assert replicated["replicas"] == 1
    assert job["completionMode"] == "Indexed"
    [port] = container["ports"]
    workers = json.loads(environment(container, 0)["TF_CONFIG"])["cluster"]["worker"]
    assert workers == [
        f"{name}-{replicated['name']}-0-{pod}.{network['subdomain']}:{port['containerPort']}"
        for pod in range(job["parallelism"])
    ]


@pytest.mark.parametrize("manifest", [TPU_MANIFEST], indirect=True)
def test_a_slice_has_a_pod_on_each_of_its_hosts(job, container):
    assert environment(container, 0) == {"KERAS_BACKEND": "jax"}
    assert container["ports"] == [{"containerPort": clusters.PORT}]
    slice_ = tpus.slice_of("v5e:4x4")
    selector, chips = job["template"]["spec"]["nodeSelector"], container["resources"]["limits"]["google.com/tpu"]
    assert selector["cloud.google.com/gke-tpu-topology"] == "4x4" and "v5e:4x4" in FILES[TPU_MANIFEST]
    assert job["completions"] == job["parallelism"] == slice_.hosts and slice_.devices == chips * slice_.hosts


def test_a_pod_that_asks_for_another_start_gets_one(jobset, job, container):
    rules = job["podFailurePolicy"]["rules"]
    codes = {rule["action"]: rule["onExitCodes"] for rule in rules if "onExitCodes" in rule}
    assert codes["Ignore"] == {"containerName": container["name"], "operator": "In", "values": [75]}
    assert codes["FailJob"] == {"containerName": container["name"], "operator": "In", "values": [3]}
    conditions = [rule for rule in rules if "onPodConditions" in rule]
    assert conditions == [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    ]
    assert job["template"]["spec"]["restartPolicy"] == "Never"  # without it there is no policy for failures
    assert job["template"]["spec"]["terminationGracePeriodSeconds"] >= 60
    assert jobset["spec"]["failurePolicy"]["maxRestarts"] > 0
    assert "--run.resume" in container["command"]


def test_directories_of_the_command_are_volumes(job, container):
    claims = {volume["name"]: volume["persistentVolumeClaim"] for volume in job["template"]["spec"]["volumes"]}
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    command = container["command"]
    for flag, folder in (("--run.directory", "/runs"), ("--run.data-directory", "/data")):
        assert command[command.index(flag) + 1].startswith(folder)
        assert mounts[folder]["name"] in claims
    assert not claims[mounts["/runs"]["name"]].get("readOnly")


# Scripts


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_scripts_are_bash(script):
    subprocess.run(["bash", "-n", script], check=True)
    assert script.read_text(encoding="utf-8").startswith("#!/bin/bash\n")


def taking_notes(program: Path, notes: Path, action: str = ":") -> None:
    """Makes a program that writes its name and its arguments on a line of the notes, then acts."""
    program.parent.mkdir(parents=True, exist_ok=True)
    line = f"""{{ printf '%s|' "${{0##*/}}" "$@"; echo; }} >> '{notes}'"""
    program.write_text(f"#!/bin/bash\n{line}\n{action}\n", encoding="utf-8")
    program.chmod(0o755)


class Slurm:
    """Starts the batch script with programs that take notes in place of Slurm's."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file, self.errors = folder, folder / "notes", folder / "errors"
        taking_notes(folder / "srun", self.file, 'eval "$ACTION"; exit "$STATUS"')
        taking_notes(folder / "scontrol", self.file)

    def start(self, status: int, restarts: int = 0, action: str = ":", words: str = "cifar10-resnet20 runs/a data"):
        variables = {"STATUS": status, "ACTION": action, "SLURM_RESTART_COUNT": restarts, "SLURM_JOB_ID": 7}
        variables["PATH"] = f"{self.folder}:{os.environ['PATH']}"
        changed = {name: str(value) for name, value in variables.items()}
        command = ["bash", CLUSTER / "slurm.sbatch", *words.split()]
        with self.errors.open("w") as errors:
            return subprocess.Popen(command, env={**os.environ, **changed}, stderr=errors)

    def notes(self) -> list[list[str]]:
        lines = self.file.read_text(encoding="utf-8").splitlines() if self.file.exists() else []
        return [line.rstrip("|").split("|") for line in lines]


@pytest.fixture
def slurm(tmp_path):
    return Slurm(tmp_path)


def test_slurm_gets_the_whole_command(slurm):
    assert slurm.start(0, words="cifar10-resnet20 runs/a data --model.shortcut B").wait(10) == 0
    [[srun, *words]] = slurm.notes()
    assert srun == "srun"
    assert " ".join(words[words.index(".venv/bin/python") :]) == (
        ".venv/bin/python recipes/train.py cifar10-resnet20 --run.strategy multi_worker --run.directory runs/a "
        "--run.data-directory data --run.resume --model.shortcut B"
    )


def test_slurm_starts_the_processes_of_jax(slurm, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert slurm.start(0).wait(10) == 0
    [[_, *words]] = slurm.notes()
    assert words[words.index("--run.strategy") + 1] == "multi_process"


@pytest.mark.parametrize("status", [0, 1, 2, 3, 130, 137])
def test_slurm_ends_with_the_status_of_the_training(slurm, status):
    assert slurm.start(status).wait(10) == status
    assert [program for program, *_ in slurm.notes()] == ["srun"]


def test_slurm_starts_again_what_asks_for_it_but_not_for_ever(slurm):
    assert slurm.start(75, restarts=49).wait(10) == 75
    assert slurm.notes()[-1] == ["scontrol", "requeue", "7"]
    assert slurm.start(75, restarts=50).wait(10) == 75
    assert [program for program, *_ in slurm.notes()] == ["srun", "scontrol", "srun"]


def test_a_signal_does_not_keep_slurm_from_starting_again(slurm):
    script = slurm.start(75, action="sleep 1")
    while not slurm.notes():
        time.sleep(0.01)
    script.send_signal(signal.SIGTERM)
    assert script.wait(10) == 75
    assert slurm.notes()[-1] == ["scontrol", "requeue", "7"]


def test_slurm_says_what_is_missing(slurm):
    assert slurm.start(0, words="cifar10-resnet20 runs/a").wait(10) != 0
    assert "usage: sbatch slurm.sbatch RECIPE DIRECTORY DATA" in slurm.errors.read_text()
    assert slurm.notes() == []


def test_slurm_sends_the_signal_and_keeps_what_was_printed():
    text = FILES["slurm.sbatch"]
    options = dict(re.findall(r"^#SBATCH --([\w-]+)(?:=(\S+))?$", text, re.MULTILINE))
    assert re.fullmatch(r"TERM@\d{2,}", options["signal"])
    assert "requeue" in options
    assert options["open-mode"] == "append"
    # Slurm reads no options after the first command.
    assert text.partition("\nusage=")[0].count("\n#SBATCH --") == text.count("#SBATCH") == len(options)


def test_a_tpu_vm_gets_the_whole_command(tmp_path):
    script = tmp_path / "recipes" / "cluster" / "tpu_vm.sh"
    script.parent.mkdir(parents=True)
    script.write_text(FILES["tpu_vm.sh"], encoding="utf-8")
    taking_notes(tmp_path / ".venv-tpu" / "bin" / "python", tmp_path / "notes", 'echo "$KERAS_BACKEND"; exit 75')
    words = ["cifar10-resnet20", "runs/a", "data", "--model.shortcut", "B"]
    run = subprocess.run(["bash", script, *words], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (75, "jax\n")
    assert (tmp_path / "notes").read_text() == (
        "python|recipes/train.py|cifar10-resnet20|--run.strategy|tpu|--run.directory|runs/a|--run.data-directory|data|"
        "--run.resume|--model.shortcut|B|\n"
    )


def test_a_tpu_vm_gets_the_extras_of_its_engine():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    [extras] = re.findall(r"pip install --editable '\.\[([\w,]+)\]'", FILES["tpu_vm.sh"])
    assert {"tpu", "recipes"} <= set(extras.split(",")) <= set(setup["options.extras_require"])
    assert "keras-residual[jax]" in setup["options.extras_require"]["tpu"].split()
