export default {
  cause: {
    waf_page: {
      title: 'A web page instead of an answer',
      why: 'A firewall in front of the relay answered with an HTML page, usually a challenge meant for browsers. The request never reached the API.',
      cure: 'Wait a few minutes and try again; change the exit of your proxy, or use another address of the relay. Many requests in a short time make it more likely.',
    },
    context_1m: {
      title: 'The 1m-context flag is missing, or wrong for this model',
      why: 'The relay requires the beta flag context-1m-2025-08-07 for most models, and refuses it for some.',
      cure: 'Turn on the rule anyrouter.beta-1m on the Rules page. Which models get the flag is the list long_context of the upstream (check shows it): add or leave out this model there. In Claude Code, choosing a model with [1m] asks for it too.',
    },
    pool_closed: {
      title: 'The relay has closed its pool for this model',
      why: 'A 503: at the moment the relay has no account that serves this model.',
      cure: 'Choose another model, or add a second upstream that takes over. Pools usually open again within minutes to hours.',
    },
    quota: {
      title: 'The quota is used up, or too many requests',
      why: 'A 429, or a 403 with a message about credit: the account has no credit left, or it sent too much in a short time.',
      cure: 'Check the balance at the relay. If there is credit left, wait as long as the message says; running fewer sub-agents at once helps too.',
    },
    saturated: {
      title: 'The relay is at its load limit',
      why: 'The relay says that it has reached its load limit (负载已经达到上限, 上游负载压力太大). This has nothing to do with your account.',
      cure: 'Try again later, or add a second upstream that takes over. Evenings in China are the busiest time.',
    },
    network: {
      title: 'Network trouble in front of the relay (502, 504, 521 to 524)',
      why: "The relay's CDN could not reach its origin, or the origin took too long. The side requests of Claude Code are affected most often.",
      cure: 'Turn the side requests off with the variable below, and try again, or use another address of the relay.',
    },
    incomplete_request: {
      title: 'Something that the relay requires is missing',
      why: 'A 500 new_api_error: the relay accepts only requests that look complete, with system as a list, an identity and metadata.user_id.',
      cure: 'Use the profile anyrouter for this upstream, and check with a dry run on the Rules page that its rules apply. A client that sends no metadata.user_id has to add it.',
    },
    shape_refused: {
      title: 'The relay does not take it for a request of Claude Code',
      why: 'The relay says “invalid claude code request”, or answers 429 without a word about a limit: AnyRouter refuses what does not look complete. Too few tools, or one tool too many, are enough.',
      cure: 'Use the profile anyrouter for this upstream and Claude Code itself as the client. If it persists, switch off MCP servers and rules that change tools or system, one after the other.',
    },
    origin_520: {
      title: 'The relay broke off behind its CDN (520)',
      why: 'The CDN got an empty or odd response from the relay: trouble there, or a beta flag that does not suit the model.',
      cure: 'Try again, or use another address of the relay. If only one model does it, leave that model out of long_context of the upstream (check shows the list).',
    },
    thinking_off: {
      title: 'Thinking is off',
      why: "The relay answers “Cannot read properties of undefined (reading 'map')” when the request does not ask for thinking.",
      cure: 'Turn thinking on: Tab in Claude Code, or the setting below in ~/.claude/settings.json.',
    },
    user_agent: {
      title: 'The User-Agent is not accepted',
      why: 'The relay answers with an error about H.map when it does not know the User-Agent of the client.',
      cure: 'Send that of Claude Code: put the line below into the headers file (Configuration, Headers file).',
    },
    country: {
      title: 'The notice about countries',
      why: 'Claude Code shows a notice about supported countries when its first-run steps are not finished. The relay is not the reason.',
      cure: 'Put the entry below into ~/.claude.json, then start Claude Code again.',
    },
    key_refused: {
      title: 'The key is refused',
      why: 'A 401 or 403: the key is wrong, expired, or not allowed for this model or group.',
      cure: 'Copy the key from the relay again, without spaces, into ANTHROPIC_AUTH_TOKEN. Check that the upstream is the one that gave you the key.',
    },
    proxy: {
      title: 'The outbound proxy does not work',
      why: 'The gateway could not reach the upstream through its proxy: it is not running, refuses the connection, or wants a password.',
      cure: 'Check that the proxy runs and that its address is right (often 127.0.0.1:7890). The test on the Upstreams page, or the command below, shows the step that fails.',
    },
    unreachable: {
      title: 'The upstream cannot be reached',
      why: 'No connection was made: the name does not resolve, the connection is refused or times out, or TLS fails.',
      cure: 'Look whether the address is spelt right, then run the test on the Upstreams page. If it is, an outbound proxy is usually needed from mainland China.',
    },
    too_slow: {
      title: 'The upstream was too slow',
      why: 'It was silent for longer than allowed, or did not begin its answer in time.',
      cure: 'Try again. If it happens often: another upstream, or longer limits (timeouts.read, timeouts.first_byte, timeouts.first_event).',
    },
    broke_off: {
      title: 'The answer broke off',
      why: 'The stream ended before message_stop: the connection to the relay was cut.',
      cure: 'Claude Code retries by itself. If it happens often, the outbound proxy or the network on the way cuts long connections.',
    },
    overloaded: {
      title: 'The model is overloaded',
      why: 'A 529, or overloaded_error in the stream: the provider of the model has too many requests.',
      cure: 'Wait a moment and try again, or choose another model. A second upstream helps only if it has another source.',
    },
    bad_request: {
      title: 'The upstream finds the request faulty',
      why: 'A 400: a field is wrong, a beta flag and a field do not fit together, or the context is too long.',
      cure: 'Read the original message: it names the field. If your own rules touch it, check them with a dry run; /compact helps against a context that is too long.',
    },
    not_found: {
      title: 'The upstream does not know this path',
      why: 'The upstream answered 404. Usually base_url has a wrong path, such as a /v1 too many: clients add /v1/messages themselves. Or the relay does not offer this path.',
      cure: 'Compare base_url with the address that the relay gives for Claude Code, and leave out a /v1 at its end. If only some paths fail, such as /v1/messages/count_tokens, the relay does not offer them.',
    },
    no_message: {
      title: 'An answer without a message',
      why: 'The upstream answered as if all were well, but with nothing in it, with a redirect, or with something that is not a message.',
      cure: 'Check that base_url is the address that the relay gives for Claude Code. If it happens now and then, the relay has trouble; a second upstream takes over.',
    },
    rejected: {
      title: 'The gateway refused the request',
      why: 'It is not valid HTTP, is larger than allowed, or its key has no upstream; nothing was sent.',
      cure: 'The original message names the rule or the limit. Limits are on the Configuration page.',
    },
    gateway: {
      title: 'A failure of the gateway',
      why: 'Something went wrong within the gateway itself.',
      cure: 'Look for the id of the request in the log of the gateway, and report it with the version.',
    },
    other: {
      title: 'Other failures',
      why: 'No known pattern fits.',
      cure: 'Read the original message. The example shows the attempts and the body of the error.',
    },
  },
};
