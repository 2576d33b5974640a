"""What makes a fresh graph of tf2onnx a fast one, the same in each run, with few copies of its weights."""

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

from tasks.onnx import graphs


def optimized(graph: Any) -> Any:
    """Return the graph of tf2onnx after as many turns of all passes as change it.

    tf2onnx's own driver copies the graph for each pass, and goes on without one that failed, to a slow graph instead of
    an error.
    """
    for turn in itertools.count():
        passes = [make() for make in PASSES]
        for one in passes:
            graph = one.optimize(graph, turn)
        if not any(one.graph_been_opt for one in passes):
            break
    _order(graph)
    return graph


class Frugal(GraphOptimizerBase):  # type: ignore[misc]  # tf2onnx has no types
    """A pass that starts from nodes in order, and leaves the protocol buffers behind them alone.

    The base class writes these buffers anew after each pass. Nothing reads them before the end, and a buffer never
    gives back what was written over: each pass would keep another copy of all weights. And it leaves the nodes in the
    order of a set, another one in each run, on which some of what the passes do depends.
    """

    def optimize(self, graph: Any, iteration: int) -> Any:
        """Return the graph after the pass, without the nodes that nothing needed before it."""
        self.opt_iteration = iteration
        _order(graph)
        return self._optimize(graph)


class UselessReshapes(GraphOptimizerBase):  # type: ignore[misc]
    """A pass that leaves out the reshapes to the shape that is there.

    They are left where transposes of 1 x 1 maps meet, and how many depends on the order of sets inside tf2onnx.
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


# Of tf2onnx's passes those that find something in a convolutional network, in its order; then our own.
PASSES = [
    type(one.__name__, (Frugal, one), {})
    for one in (
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


def _order(graph: Any) -> None:
    """Put the nodes of a graph into the order in which its outputs need them."""
    graph.reset_nodes(graphs.topological_order(graph.get_nodes(), graph.outputs))
