import type en from '../en/saved';

const words: typeof en = {
  saved: {
    title: '已存筛选',
    none: '还没有。先设好筛选条件，再在这里命名保存。',
    add: '保存当前筛选',
    isSaved: '当前筛选已保存，可用其他名称另存',
    name: '名称',
    save: '保存',
    replace: '覆盖',
    rename: '重命名“{name}”',
    newName: '“{name}”的新名称',
    remove: '删除“{name}”',
    where: '只保存在本浏览器中，最多 {most} 个。要给别人看，请复制它的链接。',
    wrong: {
      full: '已有 {most} 个，请先删除一个。',
      taken: '已有同名的筛选。',
      notKept: '浏览器未能保存：存储空间已满或被禁用。',
    },
  },
};

export default words;
