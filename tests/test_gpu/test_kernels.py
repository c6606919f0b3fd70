"""What TensorFlow's registry says about GPUs without one: its wheel lists the kernels for them.

Graphs are traced as they are on a GPU, narrow, and every node of theirs is looked up: is there a
kernel for its types, and does it take from the host's memory what another leaves in the GPU's?
"""

import functools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import config, op_def_registry
from tensorflow.python.framework.kernels import get_registered_kernels_for_op

from deeplab_lfov import DeepLabLFOVModel, Solver, SolverSettings
from deeplab_lfov.inference import segmentation
from deeplab_lfov.inference.export import Segmenter
from deeplab_lfov.inference.traced_network import TracedNetwork
from deeplab_lfov.network import arithmetic, grid
from deeplab_lfov.settings import PRECISIONS
from helpers import prepared_from

pytestmark = pytest.mark.skipif(
    not tf.test.is_built_with_cuda(), reason="this TensorFlow knows no GPUs"
)

CALLS = {"PartitionedCall", "StatefulPartitionedCall"}
CALLS |= {"StatelessWhile", "While", "StatelessIf", "If"}
"""Operations that call functions, whose int32 is in the host's memory."""

NO_WORK = {"Placeholder", "NoOp", "Assert"}  # the last writes a message, which is on the host
HANDLES = {tf.resource.as_datatype_enum, tf.variant.as_datatype_enum}


@pytest.fixture(autouse=True)
def as_on_a_gpu(monkeypatch):
    monkeypatch.setattr(arithmetic, "has_gpu", lambda: True)
    monkeypatch.setattr(arithmetic, "choose", lambda precision: None)


@functools.cache
def kernels_of(operation):
    """Return a GPU's kernels, those for GPUs alone before those for any device."""
    found = get_registered_kernels_for_op(operation).kernel
    kinds = ("GPU", "DEFAULT")
    return sorted((k for k in found if k.device_type in kinds), key=lambda k: len(k.device_type))


def kernel_for(node):
    def fits(constraint):
        attribute = node.attr[constraint.name]
        types = attribute.list.type or [attribute.type]
        return all(each in constraint.allowed_values.list.type for each in types)

    return next((k for k in kernels_of(node.op) if all(map(fits, k.constraint))), None)


def functions_of(concrete):
    """Return the nodes by name of a traced function, and of each that it may call."""
    definition = concrete.graph.as_graph_def()
    bodies = [definition.node, *(each.node_def for each in definition.library.function)]
    return [{node.name: node for node in body} for body in bodies]


def is_on_host(node):
    """Tell whether a node is there by our own order, or a text, which is nowhere else."""
    return "CPU" in node.device or node.attr["dtype"].type == tf.string.as_datatype_enum


def without_kernel(concrete):
    """List the operations, with their types, that a GPU cannot do."""
    return sorted(
        f"{node.op} {[tf.as_dtype(each.type).name for each in node.attr.values() if each.type]}"
        for nodes in functions_of(concrete)
        for node in nodes.values()
        if node.op not in NO_WORK and not is_on_host(node) and not kernel_for(node)
    )


def ends(node, arguments):
    """Return (name, type, is on the host) of each input or output of a node."""
    kernel = None if is_on_host(node) or node.op in NO_WORK else kernel_for(node)
    on_host = set(kernel.host_memory_arg) if kernel else set()
    found = []
    for argument in arguments:
        types = node.attr[argument.type_list_attr].list.type if argument.type_list_attr else None
        one = argument.type or node.attr[argument.type_attr].type
        count = node.attr[argument.number_attr].i if argument.number_attr else 1
        for each in [one] * count if types is None else types:
            int32 = each == tf.int32.as_datatype_enum and node.op in CALLS | NO_WORK
            found.append(
                (argument.name, each, is_on_host(node) or argument.name in on_host or int32)
            )
    return found


def output(node, reference):
    """Return the end at the beginning of an edge, `name`, `name:1` or `name:output:1`."""
    _, *place = reference.split(":")
    name = place[0] if len(place) == 2 else None
    found = ends(node, op_def_registry.get(node.op).output_arg)
    return [end for end in found if name in (None, end[0])][int(place[-1]) if place else 0]


def copies_to_host(concrete):
    """Return (operation, operation) of each edge from a GPU's memory to the host's."""
    copies = set()
    for nodes in functions_of(concrete):
        for node in nodes.values():
            references = [each for each in node.input if not each.startswith("^")]
            inputs = ends(node, op_def_registry.get(node.op).input_arg)
            for reference, (_, kind, on_host) in zip(references, inputs, strict=True):
                source = nodes.get(reference.split(":")[0])  # arguments of functions are no nodes
                skipped = not source or source.op == "Const" or node.op == "Assert"
                if skipped or kind in HANDLES or not on_host or output(source, reference)[2]:
                    continue
                copies.add((source.op, node.op))
    return copies | loops_that_ask_the_gpu(concrete)


def loops_that_ask_the_gpu(concrete):
    """Return ("While", operation) of loops that go on by what is in a GPU's memory."""
    library = concrete.graph.as_graph_def().library.function
    functions = {each.signature.name: each for each in library}
    found = set()
    for body in functions_of(concrete):
        for loop in (node for node in body.values() if "While" in node.op):
            condition = functions[loop.attr["cond"].func.name]
            nodes = {node.name: node for node in condition.node_def}
            (reference,) = condition.ret.values()
            while nodes[reference.split(":")[0]].op == "Identity":  # TensorFlow takes it out
                reference = nodes[reference.split(":")[0]].input[0]
            node = nodes[reference.split(":")[0]]
            if not output(node, reference)[2]:
                found.add(("While", node.op))
    return found


@pytest.fixture
def network(request):
    return DeepLabLFOVModel(3, 1 / 64, precision=getattr(request, "param", "float32"), seed=0)


@pytest.fixture
def traced_step(network, request):
    """The training step of a solver, which has to live as long."""
    rule = dict(zip(("optimizer", "iter_size"), request.param, strict=True))
    settings = SolverSettings(lr_policy="poly", weight_decay=5e-4, **rule)
    solver = Solver(network, settings, class_weights=[1, 2, 3])
    yield solver.step.get_concrete_function()
    del solver


DECISIONS = {("AddV2", "Pack"), ("LogicalAnd", "If")}
"""The number of a batch's first sample, by which the host draws; whether the update is finite."""

FOLDED = {("Cast", "AddV2")}
"""The number of passes, out of constants: TensorFlow computes it once."""

LOSS_SCALE = {("ReadVariableOp", "AddV2"), ("SelectV2", "Equal")}
"""The int32 that counts good steps."""


@pytest.mark.parametrize("traced_step", [("adam", 1), ("sgd", 2)], indirect=True)
@pytest.mark.parametrize("network", PRECISIONS, indirect=True)
def test_a_gpu_can_do_all_of_a_training_step_and_asks_the_host_for_little(network, traced_step):
    assert without_kernel(traced_step) == []
    few = DECISIONS | FOLDED | (LOSS_SCALE if network.dtype == tf.float16 else set())
    assert DECISIONS <= copies_to_host(traced_step) <= few


@pytest.fixture
def deterministic():
    before = config.is_op_determinism_enabled()
    config.enable_op_determinism()
    yield
    if not before:
        config.disable_op_determinism()


@pytest.mark.parametrize("traced_step", [("adam", 1)], indirect=True)
def test_a_gpu_can_do_all_of_a_deterministic_step(deterministic, traced_step):
    assert without_kernel(traced_step) == []


@pytest.mark.parametrize("network", PRECISIONS, indirect=True)
@pytest.mark.parametrize("is_prepared", [False, True])
def test_a_gpu_can_do_all_of_a_predictors_network(network, is_prepared):
    if is_prepared:
        network = prepared_from(network)
    traced = TracedNetwork(network)
    for part in (traced.early, traced.late):
        graph = part.get_concrete_function()
        assert without_kernel(graph) == [] and copies_to_host(graph) == set()


def test_a_gpu_can_do_all_of_an_export(network):
    segmenter = Segmenter(network, "abc")
    for function in (network.preds, segmenter.segment, segmenter.class_names):
        graph = function.get_concrete_function()
        assert without_kernel(graph) == [] and copies_to_host(graph) == set()


def test_pixels_are_computed_on_a_gpu():
    places = np.linspace(1, 8, 50, dtype=np.float32)

    @tf.function(input_signature=[tf.TensorSpec([9, 9, 3])])
    def labels(scores):
        pixels = grid.interpolate(scores, places, places, 1)
        several = segmentation._log_mean_probabilities(tf.stack([pixels, pixels]))
        return grid.likeliest_labels(several), tf.nn.softmax(pixels)

    graph = labels.get_concrete_function()
    assert without_kernel(graph) == [] and copies_to_host(graph) == set()


def test_what_a_gpu_cannot_do_is_found():
    @tf.function(input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.int32)])
    def picture(content, number):
        with tf.device("CPU:0"):
            there = tf.io.decode_png(content)
        if number > 1:
            return tf.io.decode_jpeg(content)
        return there * tf.cast(number**2, tf.uint8)

    found = without_kernel(picture.get_concrete_function())
    assert [each.split()[0] for each in found] == ["DecodeJpeg", "Pow"]


def test_copies_to_the_host_are_found():
    """A draw of each sample by a seed of its own, as TensorFlow would have it."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64)])
    def draws(numbers):
        def draw(number):
            return tf.random.stateless_uniform([3], tf.stack([number, 1]))

        return tf.map_fn(draw, numbers, fn_output_signature=tf.float32)

    found = copies_to_host(draws.get_concrete_function())
    assert found == {("Pack", "StatelessRandomGetKeyCounter"), ("While", "LogicalAnd")}
