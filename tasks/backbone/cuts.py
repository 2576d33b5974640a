"""Cuts: layers whose output alone carries everything above them."""

import keras


def cuts(base: keras.Model) -> list[str]:
    """Return the names of the base's cuts, from the input up.

    Layers are walked in topological order; one is a cut when no other output made so far is still wanted above it,
    that is, when it is an articulation point of the layer graph.
    """
    order = {id(layer): place for place, layer in enumerate(base.layers)}
    last_use = [0] * len(base.layers)
    for place, layer in enumerate(base.layers):
        for node in layer._inbound_nodes:  # noqa: SLF001  Keras has no public view of the layer graph
            for parent in node.parent_nodes:
                if id(parent.operation) in order:
                    source = order[id(parent.operation)]
                    last_use[source] = max(last_use[source], place)
    found, reach = [], 0
    for place, layer in enumerate(base.layers):
        if reach <= place and place:
            found.append(layer.name)
        reach = max(reach, last_use[place])
    return found
