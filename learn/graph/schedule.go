package graph

// schedule returns the nodes that the outputs depend on, in the order they are written, and the names that tensors
// take because they are outputs.
//
// Results that only leave the model (weight gradients, above all) are written last, the latest first: ONNX Runtime
// orders its run by a depth-first search from the last node, and this order makes it compute each of them as soon as
// its operands exist, which frees the activations early.
func (g *Graph) schedule() ([]*node, map[string]string) {
	live := g.live()
	made := map[string]bool{}
	for _, n := range live {
		for _, t := range n.out {
			made[t.name] = true
		}
	}
	rename := map[string]string{}
	var aliases []*node
	for _, o := range g.outputs {
		if _, taken := rename[o.t.name]; made[o.t.name] && !taken {
			rename[o.t.name] = o.name
			continue
		}
		// A constant, an input, or a second name for one result.
		out := &Tensor{g: g, name: o.name, shape: o.t.shape, dtype: o.t.dtype}
		aliases = append(aliases, &node{op: "Identity", in: []*Tensor{o.t}, out: []*Tensor{out}})
	}
	live = append(live, aliases...)

	used := map[string]bool{}
	for _, n := range live {
		for _, t := range n.in {
			if t != nil {
				used[t.name] = true
			}
		}
	}
	var body, leaves []*node
	for _, n := range live {
		inner := false
		for _, t := range n.out {
			inner = inner || used[t.name]
		}
		if inner {
			body = append(body, n)
		} else {
			leaves = append(leaves, n)
		}
	}
	for i := len(leaves) - 1; i >= 0; i-- {
		body = append(body, leaves[i])
	}
	return body, rename
}

// live returns the nodes that an output depends on, in the order they were traced.
func (g *Graph) live() []*node {
	need := map[string]bool{}
	for _, o := range g.outputs {
		need[o.t.name] = true
	}
	keep := make([]bool, len(g.nodes))
	count := 0
	for i := len(g.nodes) - 1; i >= 0; i-- {
		for _, t := range g.nodes[i].out {
			keep[i] = keep[i] || need[t.name]
		}
		if !keep[i] {
			continue
		}
		count++
		for _, t := range g.nodes[i].in {
			if t != nil {
				need[t.name] = true
			}
		}
	}
	nodes := make([]*node, 0, count)
	for i, n := range g.nodes {
		if keep[i] {
			nodes = append(nodes, n)
		}
	}
	return nodes
}
