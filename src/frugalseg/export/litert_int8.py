"""LiteRT int8: static activations, weights per channel, pixel - 128 in and int8 scores out."""

import re
import tempfile
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from frugalseg.core.errors import ConfigError, GateError, require
from frugalseg.core.inputs import InputSpec
from frugalseg.cost.scales import joined
from frugalseg.export.bias import correct
from frugalseg.export.bits import check_layers, operators_of
from frugalseg.export.calibration import Pictures
from frugalseg.export.equalise import equalise
from frugalseg.export.flatbuffer import read_model
from frugalseg.export.litert import convert, quiet
from frugalseg.export.lowering import lower
from frugalseg.export.order import order
from frugalseg.export.quantisation import PLAIN, Quantisation
from frugalseg.export.ranges import MINMAX, clip
from frugalseg.export.rounding import NEAREST, ROUNDINGS, replace_weights
from frugalseg.export.tidy import operator_names, tidy
from frugalseg.models.network import Network

EXACT = 1e-6
LEAST_RANGE = 1e-7  # less than this no picture has woken


def export_litert_int8(
    network: Network,
    spec: InputSpec,
    path: Path,
    *,
    pictures: Pictures,
    how: Quantisation = PLAIN,
    shared: Path | None = None,
) -> None:
    """Write the network as int8 .tflite, its ranges measured on `pictures`, `how` as it says.

    Post-training quantisation by AI Edge Quantizer. The range of the input is not measured but
    set, to that of all pixels, so that its int8 values are pixel - 128 exactly. Maps that are
    joined share a range; maps that no picture wakes get one. Raises ConfigError without pictures,
    and for `bits` of layers that the network has not.
    """
    feeds = [(picture[None].astype(np.float32) - spec.mean) / spec.std for picture in pictures]
    if not feeds:
        raise ConfigError("int8 needs at least one calibration picture")
    lowered = lower(network)
    check_layers(lowered, how.bits)
    if how.equalise:
        equalise(lowered, spec)
    rounded = ROUNDINGS[how.rounding](lowered, feeds, how.bits)
    if how.correct:
        correct(lowered, feeds, rounded)
    if how.rounding != NEAREST:  # else it is done by the quantiser
        replace_weights(lowered, rounded)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "float.tflite"
        convert(lowered, spec, source, None if how.changes_weights else shared)
        few = operators_of(source, lowered, [*how.bits])
        with quiet():
            quantizer = _quantizer(source, few)
            ranges = _ranges(quantizer, source, feeds, spec, how)
            quantizer.quantize(ranges).export_model(str(path), overwrite=True)
    tidy(path)
    order(path)
    _check_input(path, spec)


def _quantizer(source: Path, few: Iterable[tuple[str, str]]) -> Any:
    """Return the quantiser of a file; `few` are kinds and maps of operators with 4-bit weights."""
    aeq = require("ai_edge_quantizer", extra="export")
    every = aeq.qtyping.TFLOperationName
    recipes, wide = aeq.recipe_manager.RecipeManager(), {"activation_num_bits": 8}
    recipes.add_static_config(".*", every.ALL_SUPPORTED, weight_num_bits=8, **wide)
    for kind, name in few:
        # By way of a CONV_2D: of a depthwise one the quantiser does not know that it can be run.
        one = aeq.recipe_manager.RecipeManager()
        one.add_static_config(".*", every.CONV_2D, weight_num_bits=4, **wide)
        config = one.get_quantization_configs(every.CONV_2D, "")[1]
        recipes.add_quantization_config(
            f"^{re.escape(name)};?$", every(kind.upper()),
            op_config=replace(config, skip_checks=True),
        )  # fmt: skip
    return aeq.quantizer.Quantizer(str(source), recipes.get_quantization_recipe())


def _ranges(
    quantizer: Any, source: Path, feeds: list[Any], spec: InputSpec, how: Quantisation
) -> dict[str, Any]:
    """Measure the range of each map on the feeds."""
    interpreter = require("ai_edge_litert.interpreter", extra=None)
    signatures = interpreter.Interpreter(model_path=str(source)).get_signature_list()
    key, signature = next(iter(signatures.items()))
    name = signature["inputs"][0]
    few = feeds if how.ranges == MINMAX else feeds[:1]  # for the names and shapes of all
    ranges: dict[str, Any] = quantizer.calibrate({key: [{name: feed} for feed in few]})
    if how.ranges != MINMAX:
        clip(ranges, source, feeds, how.ranges)
    for tensor, bounds in ranges.items():
        if tensor.startswith(f"{key}_{name}"):
            for bound, pixel in (("min", 0), ("max", 255)):
                value = (pixel - spec.mean) / spec.std
                bounds[bound] = np.full_like(bounds[bound], value)
    share_ranges(ranges, read_model(source))
    widen_empty(ranges)
    return ranges


def widen_empty(ranges: dict[str, Any]) -> None:
    """Give maps that are zero on all pictures the range 0 to 1. Changes `ranges`.

    A ReLU whose inputs are all negative leaves such a map. Its scale would be next to zero, and
    that of the convolution before it so large that engines refuse the file, or crash over it.
    """
    for bounds in ranges.values():
        span = np.maximum(bounds["max"], 0) - np.minimum(bounds["min"], 0)
        bounds["max"] = np.where(span < LEAST_RANGE, np.float32(1), bounds["max"])


def share_ranges(ranges: dict[str, Any], model: Any) -> None:
    """Give all maps that an operator joins one range, which holds all of theirs.

    They then have one scale, and nothing has to convert them first, whatever the weights are. What
    passes a map on in the scale in which it came (PASSES) has that range too. What is tied to a
    scale of its own is left alone: the input, and the results of FIXED. Changes `ranges`.
    """
    for group in _joined(ranges, model):
        for bound, widest in (("min", np.minimum), ("max", np.maximum)):
            whole = widest.reduce([ranges[name][bound] for name in group])
            for name in group:
                ranges[name][bound] = whole.copy()


def _joined(ranges: Collection[str], model: Any) -> list[set[str]]:
    """Collect the names of tensors that must have one scale, for each group with a join in it."""
    graph, kinds = model.subgraphs[0], operator_names(model)
    names = [bytes(tensor.name or b"").decode() for tensor in graph.tensors]
    ops = (
        (
            kinds[op.opcodeIndex].lower(),
            *(
                {names[i] for i in side if i >= 0 and names[i] in ranges}
                for side in (op.inputs, op.outputs)
            ),
        )
        for op in graph.operators
    )
    return joined(ops, {names[i] for i in graph.inputs})


def _check_input(path: Path, spec: InputSpec) -> None:
    """Make sure that the int8 values of the input are pixel - 128: scale and zero point say so."""
    model = read_model(path)
    graph = model.subgraphs[0]
    quantization = graph.tensors[graph.inputs[0]].quantization
    scale, zero_point = float(quantization.scale[0]), int(quantization.zeroPoint[0])
    if not (abs(scale * spec.std - 1) < EXACT and zero_point == round(spec.mean) - 128):
        raise GateError(
            f"{path.name}: the input has scale {scale} and zero point {zero_point}; expected"
            f" {1 / spec.std} and {round(spec.mean) - 128}, so that it is pixel - 128"
        )
