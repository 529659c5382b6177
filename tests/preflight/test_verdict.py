"""What follows from a flight, in words."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from keras_resnet.preflight import report
from keras_resnet.preflight.program import Collective, Padding
from keras_resnet.preflight.verdict import ADVICE, verdict

CASES = {
    "a host of unknown speed": ({"host_speed": None}, "each of 4 hosts must bring"),
    "one host": ({"host_speed": None, "topology": "v5e:2x2"}, "the host must bring"),
    "a slow host": ({"host_speed": 1000.0}, "input-bound: a host brings 1,000 images/s and must bring"),
    "float32": ({"passes": 6}, "take 6 passes of bfloat16: `precision`='mixed_bfloat16'"),
    "an odd batch": ({"batch": 12}, "no multiple of 8"),
    "a small batch": ({"batch": 16}, "`global_batch_size` of 2,048"),
    "many collectives": (
        {"collectives": (Collective("all-reduce", "f32", 2000, 2_000_000, False),)},
        "2,000 collectives take",
    ),
    "needless parts": (
        {"accumulation": 4, "largest": 512},
        "`accumulation`=4 is more than the memory asks for: 1 fits",
    ),
    "padding": ({"made": Padding(10**9, 10**10)}, "padding makes what the operations write 10.0 times as large"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_to_change_is_said(make_flight, case):
    changes, expected = CASES[case]
    assert expected in "\n".join(verdict(make_flight(**changes)))


def test_every_advice_has_a_case():
    assert len({expected for _, expected in CASES.values()}) >= len(ADVICE)


def test_there_may_be_nothing_to_change(make_flight):
    first, *rest = verdict(make_flight())
    assert first.startswith("it compiles and fits, with 28% of the memory. What bounds it is memory traffic: ")
    assert rest == ["nothing to change"]


def test_a_data_set_on_the_devices_needs_no_host(make_flight):
    flight = make_flight(host_speed=None, data_set_bytes=2**30)
    assert "must bring" not in "\n".join(verdict(flight))
    assert any("the devices hold the data set, 1.00 GiB" in line for line in report.lines(flight))


def test_an_iteration_has_all_parts(make_flight):
    one, four = make_flight(), make_flight(accumulation=4)
    assert four.images == 4 * one.images
    assert four.speed == pytest.approx(4 * one.speed)  # of the same program
    assert four.seconds == one.seconds
    assert "6 GFLOP, 92.5 MB" in "\n".join(report.lines(four))


def test_a_baseline_is_compared(make_flight):
    ours = make_flight()
    twice = make_flight(bytes=2 * ours.training.bytes, cycles=4 * ours.training.cycles).training
    compared = replace(ours, baseline=twice)
    expected = (
        "keras.applications needs 740 MB an image, 400 million cycles and 4.00 GiB of temporaries; this is 0.50, 0.25 "
        "and 1.00 of it"
    )
    assert expected in "\n".join(report.lines(compared))
    assert report.values(compared)["baseline"]["bytes_per_image"] == pytest.approx(740e6)


def test_the_demand_on_a_host_is_its_share(make_flight):
    four, one = make_flight("v5e:4x4"), make_flight("v5e:2x2")
    assert four.demand == pytest.approx(four.expected_speed / 4)
    assert one.demand == pytest.approx(one.expected_speed)


def test_the_report_has_a_line_for_everything(make_flight):
    text = "\n".join(report.lines(make_flight(largest=512, evaluation=make_flight().training)))
    for part in (
        "imagenet-resnet50 on v5e:4x4: 16 chips in 4 hosts; 128 images a chip, mixed_bfloat16, on the jax backend",
        "4.42 GiB (arguments 400 MiB, temporaries 4.00 GiB, code 32 MiB); a device allows 15.75 GiB",
        "24 GFLOP, 370 MB",
        "100 million cycles at 1.5 GHz",
        "1 all-reduce of f32, 97.3 MiB",
        "100 MiB (1.33 times), most in f32[7,7,3,64] (2.29 times)",
        "512 images a chip, `global_batch_size`=8,192",
        "evaluation, for each device",
        "600,000 iterations in ",
        "100,000 were measured",
        "verdict",
    ):
        assert part in text, part


def test_the_values_are_json_with_the_same_numbers(make_flight):
    flight = make_flight("tpu7x:2x2x1", largest=256)
    values = json.loads(json.dumps(report.values(flight)))
    assert (values["topology"], values["devices"], values["hosts"]) == ("tpu7x:2x2x1", 8, 1)
    assert values["training"]["flops_per_image"] == 24e9
    assert values["training"]["memory"]["total"] == flight.training.memory.total
    assert values["training"]["seconds"]["bound"] == flight.bound.seconds
    assert values["training"]["seconds"]["scheduled"] is None
    assert values["evaluation"] is None
    assert values["verdict"] == verdict(flight)


def test_a_program_of_tensorflow_has_no_collectives_yet(make_flight):
    flight = make_flight(engine="tensorflow", collective=False, collectives=())
    assert any("left out: TensorFlow puts them in when it starts" in line for line in report.lines(flight))
