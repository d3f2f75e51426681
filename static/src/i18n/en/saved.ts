export default {
  saved: {
    title: 'Saved filters',
    none: 'None yet. Set filters, then give them a name here.',
    add: 'Save what is set now',
    isSaved: 'What is set now is saved. Save it by another name',
    name: 'Name',
    save: 'Save',
    replace: 'Replace',
    rename: 'Rename “{name}”',
    newName: 'New name of “{name}”',
    remove: 'Delete “{name}”',
    where: 'Kept in this browser only, {most} at most. To show one to somebody else, copy its link.',
    wrong: {
      full: 'There are {most} already: delete one first.',
      taken: 'Another one has this name.',
      notKept: 'The browser does not keep it: its storage is full or forbidden.',
    },
  },
};
