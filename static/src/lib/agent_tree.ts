/** A conversation and its sub-agents as a tree: who was called by whom, and what it cost together. */

interface Agent {
  name: string | null;
  parent: string | null;
  first_at_ms: number;
  cost_usd: number | null;
}

export interface AgentNode<A extends Agent> {
  agent: A;
  depth: number;
  /** Its own and those of all below it. */
  wholeCost: number | null;
  children: number;
}

/** The main conversation, then each agent below its parent, in the order of their beginnings. */
export function agentTree<A extends Agent>(agents: readonly A[]): AgentNode<A>[] {
  const names = new Set(agents.map((agent) => agent.name));
  // Who was called by nobody that is known was called by the main conversation.
  const parentOf = (agent: A): string | null => (agent.parent !== null && agent.parent !== agent.name && names.has(agent.parent) ? agent.parent : null);
  const below = new Map<string | null, A[]>();
  for (const agent of [...agents].sort((a, b) => a.first_at_ms - b.first_at_ms)) {
    if (agent.name !== null) below.set(parentOf(agent), [...(below.get(parentOf(agent)) ?? []), agent]);
  }
  const nodes: AgentNode<A>[] = [];
  const seen = new Set<string | null>();
  function add(agent: A, depth: number): number | null {
    if (seen.has(agent.name)) return null;
    seen.add(agent.name);
    const node: AgentNode<A> = { agent, depth, wholeCost: agent.cost_usd, children: 0 };
    nodes.push(node);
    for (const child of below.get(agent.name) ?? []) {
      const cost = add(child, depth + 1);
      node.children += 1;
      if (cost !== null) node.wholeCost = (node.wholeCost ?? 0) + cost;
    }
    return node.wholeCost;
  }
  const main = agents.find((agent) => agent.name === null);
  if (main) add(main, 0);
  else for (const agent of below.get(null) ?? []) add(agent, 0);
  // Agents that name each other as parents hang below nobody.
  for (const agent of agents) add(agent, 0);
  return nodes;
}
