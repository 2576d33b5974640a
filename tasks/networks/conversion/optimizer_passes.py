"""Optimization of tf2onnx's graphs: repeatable, and with few copies of the weights in memory."""

import itertools
from typing import Any

from tf2onnx.optimizer import (
    back_to_back_optimizer,
    const_fold_optimizer,
    global_pool_optimizer,
    identity_optimizer,
    merge_duplicated_nodes_optimizer,
    reshape_optimizer,
    transpose_optimizer,
)
from tf2onnx.optimizer.optimizer_base import GraphOptimizerBase

from tasks.onnx.canonical_form import topological_order


def optimized(graph: Any) -> Any:
    """Return the graph of tf2onnx after all passes, repeated until none of them changes it.

    tf2onnx's own driver copies the graph for each pass, and when a pass fails it continues without it: the result is a
    slow graph instead of an error.
    """
    for iteration in itertools.count():
        passes = [optimizer() for optimizer in PASSES]
        for optimizer_pass in passes:
            graph = optimizer_pass.optimize(graph, iteration)
        if not any(optimizer_pass.graph_been_opt for optimizer_pass in passes):
            break
    _sort_nodes(graph)
    return graph


class _LeanOptimizer(GraphOptimizerBase):
    """A pass that starts from sorted nodes and does not rewrite the protocol buffers.

    The base class rewrites these buffers after each pass. Nothing reads them before the end, and a buffer never frees
    what was overwritten, so each pass would keep another copy of all weights. It also leaves the nodes in the order of
    a set, which differs from run to run and on which some passes depend.
    """

    def optimize(self, graph: Any, iteration: int) -> Any:
        """Return the graph after the pass, without the nodes that no output needed before it."""
        self.opt_iteration = iteration
        _sort_nodes(graph)
        return self._optimize(graph)


class UselessReshapes(GraphOptimizerBase):
    """A pass that removes reshapes to the same shape.

    They remain where transposes of 1 x 1 maps meet, and how many there are depends on the order of sets in tf2onnx.
    """

    def _optimize(self, graph: Any) -> Any:
        for node in graph.get_nodes():
            if node.type != "Reshape" or node.output[0] in graph.outputs:
                continue
            shape = graph.get_shape(node.input[0])
            if shape is not None and shape == graph.get_shape(node.output[0]) and shape.count(-1) <= 1:
                graph.replace_all_inputs(node.output[0], node.input[0])
                self.graph_been_opt = True
        return graph


# tf2onnx's passes that change convolutional networks, in its order, then our own.
PASSES = [
    type(optimizer.__name__, (_LeanOptimizer, optimizer), {})
    for optimizer in (
        transpose_optimizer.TransposeOptimizer,
        const_fold_optimizer.ConstFoldOptimizer,
        merge_duplicated_nodes_optimizer.MergeDuplicatedNodesOptimizer,
        reshape_optimizer.ReshapeOptimizer,
        global_pool_optimizer.GlobalPoolOptimizer,
        identity_optimizer.IdentityOptimizer,
        back_to_back_optimizer.BackToBackOptimizer,
        UselessReshapes,
    )
]


def _sort_nodes(graph: Any) -> None:
    """Put the nodes of a graph into the order in which its outputs need them; drop the rest."""
    graph.reset_nodes(topological_order(graph.get_nodes(), graph.outputs))
