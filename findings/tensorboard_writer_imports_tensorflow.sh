#!/usr/bin/env bash
# What most expect: TensorBoard's own writer, `tensorboard.summary.Writer`, writes logs without TensorFlow, as it does where
#   TensorFlow is not installed.
# What happens: where it is installed, making a writer imports all of it, to make the folder and open the file; so does the import
#   of `tensorboard.plugins.hparams.api`. That takes seconds and hundreds of MiB.
#   `RecordWriter`, with the summaries of `plugins.scalar.summary_v2` and `plugins.hparams.summary_v2`, needs none of it.
# Versions: tensorboard 2.21.0, tensorflow 2.21.0.
# Source: tensorboard/summary/writer/event_file_writer.py, `EventFileWriter.__init__`, through `tensorboard.compat.tf`.
# Consequence: a program on JAX or torch that logs by TensorBoard carries TensorFlow wherever somebody installed both. Write
#   records by `RecordWriter`, or be aware that the package next door decides the time of your start.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorboard==2.21.0 tensorflow==2.21.0
cat > "$folder/write.py" <<'PYTHON'
import resource
import sys
import time


def by_writer():
    from tensorboard.summary import Writer

    assert "tensorflow" not in sys.modules
    writer = Writer("by_writer")
    writer.add_scalar("loss", 1.0, 0)
    writer.close()


def by_records():
    from tensorboard.compat.proto import event_pb2
    from tensorboard.plugins.hparams import summary_v2 as hparams
    from tensorboard.plugins.scalar import summary_v2 as scalar
    from tensorboard.summary.writer.record_writer import RecordWriter

    records = RecordWriter(open("events.out.tfevents.0", "wb"))
    for summary in (hparams.hparams_pb({"rate": 0.1}), scalar.scalar_pb("loss", 1.0)):
        records.write(event_pb2.Event(step=0, summary=summary).SerializeToString())
    records.close()


def hparams_api():
    import tensorboard.plugins.hparams.api


way = {"Writer": by_writer, "RecordWriter": by_records, "hparams.api": hparams_api}[sys.argv[1]]
start = time.perf_counter()
way()
imported = "tensorflow" in sys.modules
seconds, mib = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(f"{sys.argv[1]}: {seconds:.1f} s, {mib} MiB, {'TensorFlow imported' if imported else 'no TensorFlow'}")
sys.exit(0 if imported == (sys.argv[1] != "RecordWriter") else 1)
PYTHON
cd "$folder"
for way in Writer hparams.api RecordWriter; do
    TF_CPP_MIN_LOG_LEVEL=3 venv/bin/python write.py $way 2> log
done
