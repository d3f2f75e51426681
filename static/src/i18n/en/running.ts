export default {
  running: {
    tokens: '≈ {count} tokens',
    rate: '{rate}/s',
    estimated: 'Counted while the answer passes: an estimate until it is over',
    silent: 'silent for {time}',
    silentNow: 'The upstream has been silent for {time}.',
    more: '{n} more request is being served | {n} more requests are being served',
    now: 'Being served',
    follows: 'This request is being served; what is shown follows it.',
    phase: 'Phase',
    elapsed: 'Since its beginning',
    soFar: 'Output tokens so far',
    speed: 'Speed now',
    silence: 'Silence of the upstream',
    bytes: 'Bytes of the answer',
  },
};
