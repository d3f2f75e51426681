export default {
  unsaved: {
    title: 'Discard your changes?',
    what: 'There are changes here that have not been saved. Going on loses them.',
    leave: 'Discard them',
    stay: 'Keep editing',
  },
};
