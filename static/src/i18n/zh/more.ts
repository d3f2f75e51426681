/** Words of pages that no first visit needs. */

import type { MoreMessages } from '..';

import connect from './connect';
import notify from './notify';
import ruleForm from './rule_form';
import team from './team';
import upstreamForm from './upstream_form';

const messages: MoreMessages = {
  ...upstreamForm,
  ...notify,
  ...team,
  ...ruleForm,
  ...connect,
};

export default messages;
