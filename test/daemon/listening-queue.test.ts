import { ListeningQueue, linuxSystem } from '@sdrx/daemon';
import { accept, bind, connect, listen, unixSocket } from '@sdrx/linux';
import t from 'tap';
import { Folder } from '../support/folder.js';

t.test('the queue stands when connections wait from one look to the next and none is accepted', async (t) => {
  using folder = new Folder();
  using socket = unixSocket();
  bind(socket.number, folder.join('socket'));
  listen(socket.number);
  const queue = new ListeningQueue(socket.number, linuxSystem);
  t.equal(queue.stands(0), false);
  using first = unixSocket();
  using second = unixSocket();
  connect(first.number, folder.join('socket'));
  connect(second.number, folder.join('socket'));
  t.equal(queue.stands(0), false, 'they may have come this moment');
  t.equal(queue.stands(0), true);
  using _one = accept(socket.number);
  t.equal(queue.stands(1), false, 'one was accepted since');
  t.equal(queue.stands(1), true);
  using _other = accept(socket.number);
  t.equal(queue.stands(2), false);
  t.equal(queue.stands(2), false, 'none waits');
});
