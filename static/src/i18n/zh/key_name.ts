import type en from '../en/key_name';

const words: typeof en = {
  keyName: {
    give: '为密钥 {key} 命名',
    title: '密钥名称',
    about: '面板在显示此密钥的地方以名称代替指纹；留空则恢复显示指纹：',
    name: '名称',
    example: '例如：张三、CI',
    save: '保存',
  },
};

export default words;
