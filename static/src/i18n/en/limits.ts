export default {
  limits: {
    measure: { usd: 'Cost', tokens: 'Tokens', requests: 'Requests', sessions: 'Sessions' },
    amount: {
      usd: '{count}',
      tokens: '{count} token | {count} tokens',
      requests: '{count} request | {count} requests',
      sessions: '{count} session | {count} sessions',
    },
    in: {
      minute: '{amount} a minute',
      '5h': '{amount} in 5 hours',
      day: '{amount} a day',
      week: '{amount} a week',
      month: '{amount} a month',
      total: '{amount} in total',
      now: '{amount} at one time',
    },
  },
};
