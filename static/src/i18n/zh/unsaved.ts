import type en from '../en/unsaved';

const words: typeof en = {
  unsaved: {
    title: '放弃修改？',
    what: '这里有尚未保存的修改，继续操作会丢失它们。',
    leave: '放弃修改',
    stay: '继续编辑',
  },
};

export default words;
