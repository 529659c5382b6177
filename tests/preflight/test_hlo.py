"""Reading of a compiled program's text. The lines have the form that the compiler of libtpu 0.0.52 gives them."""

from __future__ import annotations

import pytest

from keras_resnet.preflight import hlo, program

TEXT = """\
HloModule jit_f, is_scheduled=true, entry_computation_layout={(f32[3,3,16,64]{3,2,1,0:T(8,128)})->f32[]{:T(128)}}

%fused (p.1: u8[32,32,32,16], p.2: f32[3,3,16,64]) -> bf16[32,32,32,64] {
  %p.1 = u8[32,32,32,16]{0,3,2,1:T(8,128)(4,1)S(1)} parameter(0)
  %p.2 = f32[3,3,16,64]{3,2,1,0:T(8,128)S(1)} parameter(1)
  ROOT %conv.1 = bf16[32,32,32,64]{3,0,2,1:T(8,128)(2,1)S(1)} convolution(%p.1, %p.2), window={size=3x3 pad=1_1x1_1}, \
operand_precision={highest,highest}
}

ENTRY %main (param.2: f32[3,3,16,64], param.3: u8[32,32,32,16]) -> f32[3,3,16,64] {
  %param.2 = f32[3,3,16,64]{3,2,1,0:T(8,128)} parameter(0), metadata={op_name="w"}
  %copy-start = (f32[3,3,16,64]{3,2,1,0:T(8,128)S(1)}, f32[3,3,16,64]{3,2,1,0:T(8,128)}, u32[]{:S(2)}) \
copy-start(%param.2)
  %param.3 = u8[32,32,32,16]{2,3,1,0:T(8,128)(4,1)} parameter(1)
  %fusion.2 = bf16[32,32,32,64]{3,0,2,1:T(8,128)(2,1)S(1)} fusion(%param.3, %param.2), kind=kOutput, calls=%fused, \
backend_config={"window_config":{"estimated_cycles":"49760"}}
  %fusion.6 = f32[3,3,16,64]{3,2,1,0:T(8,128)S(1)} fusion(%fusion.2), kind=kOutput, \
backend_config={"estimated_cycles":"9174"}
  %psum.7 = f32[3,3,16,64]{3,2,1,0:T(8,128)S(1)} all-reduce(%fusion.6), channel_id=1, replica_groups={{0,1,2,3}}
  %psum.8 = (f32[64]{0:T(128)S(1)}, f32[]{:T(128)}) all-reduce(%a, %b), channel_id=2, replica_groups={{0,1,2,3}}
  %ag-start = (bf16[8,128]{1,0:T(8,128)(2,1)}, bf16[32,128]{1,0:T(8,128)(2,1)}) all-gather-start(%c), channel_id=3
  %ag-done = bf16[32,128]{1,0:T(8,128)(2,1)} all-gather-done(%ag-start)
  ROOT %sum = f32[3,3,16,64]{3,2,1,0:T(8,128)} fusion(%param.2, %psum.7), kind=kLoop
}
"""

PADDED = {
    "f32[3,3,16,64]{3,2,1,0:T(8,128)}": 3 * 3 * 16 * 128 * 4,
    "f32[3,3,16,16]{3,2,1,0:T(8,128)}": 3 * 3 * 16 * 128 * 4,
    "f32[7,7,3,64]{3,2,1,0:T(4,128)}": 7 * 7 * 4 * 128 * 4,
    "u8[32,32,32,16]{2,3,1,0:T(8,128)(4,1)}": 32 * 32 * 16 * 128,
    "u8[128,224,224,3]{0,2,1,3:T(8,128)(4,1)}": 128 * 224 * 224 * 3,
    "u8[96,224,224,3]{0,2,1,3:T(8,128)(4,1)}": 128 * 224 * 224 * 3,
    "bf16[128,56,56,64]{3,0,2,1:T(8,128)(2,1)}": 128 * 56 * 56 * 128 * 2,
    "f32[64]{0:T(128)}": 128 * 4,
    "f32[]{:T(128)}": 128 * 4,
    "s32[128]{0}": 128 * 4,
    "pred[8,128]{1,0:T(8,128)(4,1)}": 8 * 128,
    "f32[10]": 40,
}


@pytest.mark.parametrize("written", PADDED)
def test_arrays_take_whole_tiles(written):
    (array,) = hlo.arrays(written)
    assert array.padded_bytes == PADDED[written]
    assert array.bytes <= array.padded_bytes


def parsed() -> program.Program:
    memory = program.Memory(arguments=2_170_880, outputs=73_728, shared=73_728, temporaries=5, code=7)
    return program.parsed(TEXT, memory, {"flops": 10.0, "bytes accessed": 20.0})


def test_memory_cycles_and_costs():
    found = parsed()
    assert found.memory.total == 2_170_880 + 5 + 7
    assert (found.flops, found.bytes, found.cycles) == (10.0, 20.0, 49_760 + 9_174)


def test_collectives_have_the_bytes_that_a_device_brings():
    """Those of a tuple count together; of an asynchronous one, its operands, not its results."""
    assert parsed().collectives == (
        program.Collective("all-reduce", "f32", 2, 3 * 3 * 16 * 64 * 4 + 64 * 4 + 4, False),
        program.Collective("all-gather", "bf16", 1, 8 * 128 * 2, True),
    )


def test_a_loop_is_counted_once_and_the_parts_are_made_of_it():
    body = """
%body.1 (state: f32[4]) -> f32[4] {
  ROOT %sum.1 = f32[4]{0:T(128)} all-reduce(%state), channel_id=4
}

ENTRY %main"""
    loop = "  %w = f32[4]{0:T(128)} while(%start), condition=%more, body=%body.1, backend_config={}\n  %psum.7 = f32[3"
    text = TEXT.replace("\nENTRY %main", body).replace("  %psum.7 = f32[3", loop)
    counted = program.parsed(text, parsed().memory, {"flops": 10.0, "bytes accessed": 20.0})
    assert program.Collective("all-reduce", "f32", 1, 16, False, looped=True) in counted.collectives
    assert counted.of_parts(2) is counted
    whole = counted.of_parts(5)
    assert (whole.flops, whole.bytes, whole.cycles) == (25.0, 50.0, round(2.5 * counted.cycles))
    assert program.Collective("all-reduce", "f32", 4, 64, False, looped=True) in whole.collectives
    assert parsed().collectives[0] in whole.collectives


def test_padding_is_that_of_the_arguments_and_of_results_in_the_memory_of_the_chip():
    found = parsed()
    assert found.held.padded_bytes == found.memory.arguments, "what the compiler counts"
    assert found.held.worst[0] == ("u8[32,32,32,16]", 524_288, 2_097_152)
    results = {"f32[]": 512, "f32[3,3,16,64]": 73_728, "bf16[32,128]": 8192, "bf16[8,128]": 2048}
    assert found.made.padded_bytes == sum(results.values()) + 8192


def test_float32_takes_six_passes_where_a_factor_is_float32():
    assert parsed().passes == 6
    exact = TEXT.replace("%p.2 = f32", "%p.2 = bf16")
    assert program.passes(hlo.instructions(exact)) == 1
    assert program.passes(hlo.instructions(TEXT.replace("operand_precision={highest,highest}", ""))) == 1
