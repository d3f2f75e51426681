export default {
  mine: {
    title: 'My usage',
    about: 'What your own tokens cost, how much of your limits is used, and what could be saved',
    allTokens: 'All of my tokens together',
    which: 'Token',
    noLimits: 'You have no limits.',
    limitsOf: { token: 'This token', user: 'All of my tokens together', group: 'My group, together with the others' },
    spent: 'Costs',
    noSessions: 'No sessions in this time.',
    more: 'Show more',
    wasted: '{cost} and {tokens} tokens went into writing caches that were there already.',
    token: 'My token: {name}',
    settingsAbout: 'Put your token in the place of {text}. Nobody can show it again: if you lost it, rotate it.',
  },
};
