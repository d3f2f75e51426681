export default {
  keyName: {
    give: 'Name the key {key}',
    title: 'Name of a key',
    about: 'The name is shown wherever this key is, instead of its fingerprint. Without one the fingerprint is shown again:',
    name: 'Name',
    example: 'e.g. alice, or CI',
    save: 'Save',
  },
};
