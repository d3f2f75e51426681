/** Dry runs on past requests. */
export default {
  past: {
    label: 'A past request',
    kind: { capture: 'whole', shape: 'shape' },
    usable: 'The newest {count} that a dry run can use.',
    none: 'There is none yet that a dry run can use: each request with a prompt becomes one.',
    others: 'Not listed: requests to other paths than /v1/messages, bodies that are no JSON or compressed, and what is older than log.shapes keeps. The details of a request say which of these it is.',
    edit: 'Edit it as text',
    made: { shape: 'Made of its shape.', capture: 'As it was captured.' },
    madeWhy: {
      shape: 'Head, members, blocks and lengths are those of the request; filler stands for all texts.',
      capture: 'Head and body are those of the request, without keys.',
    },
    sure: 'No rule looks at what was not kept: each decides as it did on the request itself.',
    unsure: 'These rules look at what was not kept, and may decide otherwise on the request itself:',
    looksAt: {
      text: 'looks at texts of the prompt',
      structure: 'looks at what is inside of blocks',
      header: 'looks at the value of a header that was masked',
      query: 'looks at the value of a parameter that was masked',
    },
    leftOutMessages: '{count} message in the middle is not told by itself: a plain one stands for it. | {count} messages in the middle are not told one by one: as many plain ones stand for them.',
    leftOutTools: '{count} tool is not told by itself: a plain one stands for it. | {count} tools are not told one by one: as many plain ones stand for them.',
    more: 'The request had more parts than are kept.',
    kept: { shape: 'on its shape; no text of the prompt was kept', capture: 'on the request as it was captured' },
    notHere: 'No dry run of this one. {why}',
  },
};
