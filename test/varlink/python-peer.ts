/**
 * The two sides of the certification with the `varlink` package of Python, the reference implementation: `client ADDRESS`
 * prints what the service says in the end, `server ADDRESS FOLDER` serves what FOLDER/org.varlink.certification.varlink
 * describes.
 */
export const PYTHON_PEER = `
import math, sys, varlink

METHODS = ['Start'] + [f'Test{n:02}' for n in range(1, 12)] + ['End']
FOUR = {'bool': False, 'int': 2, 'float': math.pi, 'string': 'a lot of string'}
MAP = {'foo': 'Foo', 'bar': 'Bar'}
SET = {'one', 'two', 'three'}
MYTYPE = {
    'object': {'method': 'org.varlink.certification.Test09', 'parameters': {'map': MAP}},
    'enum': 'two', 'struct': {'first': 1, 'second': '2'}, 'array': ['one', 'two', 'three'],
    'dictionary': MAP, 'stringset': SET, 'nullable': None, 'nullable_array_struct': None,
    'interface': {'foo': [None, {'foo': 'foo', 'bar': 'bar'}, None, {'one': 'foo', 'two': 'bar'}],
                  'anon': {'foo': True, 'bar': False}},
}
REPLIES = [f'Reply number {n}' for n in range(1, 11)]

def present(struct):
    return {key: value for key, value in struct.items() if value is not None}

def client(address):
    with varlink.Client(address) as peer, peer.open('org.varlink.certification') as service:
        who = service.Start()['client_id']
        last = service.Test01(who)
        last = service.Test02(who, last['bool'])
        last = service.Test03(who, last['int'])
        last = service.Test04(who, last['float'])
        last = service.Test05(who, last['string'])
        last = service.Test06(who, last['bool'], last['int'], last['float'], last['string'])
        last = service.Test07(who, last['struct'])
        last = service.Test08(who, last['map'])
        last = service.Test09(who, last['set'])
        replies = [reply['string'] for reply in service.Test10(who, last['mytype'], _more=True)]
        service.Test11(who, replies, _oneway=True)
        print('all_ok', service.End(who)['all_ok'])

class Odd(varlink.VarlinkError):
    def __init__(self, wants, got):
        super().__init__({'error': 'org.varlink.certification.CertificationError',
                          'parameters': {'wants': wants, 'got': got}})

def server(address, folder):
    service = varlink.Service(vendor='test', product='python', version='1', url='http://example.org', interface_dir=folder)
    turns = {}

    def check(message, wanted, **flags):
        who = message.get('parameters', {}).get('client_id')
        wants = {'method': f'org.varlink.certification.{METHODS[turns.get(who, 0)]}',
                 'parameters': {'client_id': who, **wanted}, **flags}
        turns[who] = turns.get(who, 0) + 1
        if message != wants:
            raise Odd(wants, message)

    @service.interface('org.varlink.certification')
    class Certification:
        def Start(self):
            turns['one'] = 1
            return {'client_id': 'one'}
        def Test01(self, who, _message):
            check(_message, {})
            return {'bool': True}
        def Test02(self, who, bool, _message):
            check(_message, {'bool': True})
            return {'int': 1}
        def Test03(self, who, int, _message):
            check(_message, {'int': 1})
            return {'float': 1.0}
        def Test04(self, who, float, _message):
            check(_message, {'float': 1.0})
            return {'string': 'ping'}
        def Test05(self, who, string, _message):
            check(_message, {'string': 'ping'})
            return FOUR
        def Test06(self, who, bool, int, float, string, _message):
            check(_message, FOUR)
            return {'struct': FOUR}
        def Test07(self, who, struct, _message):
            check(_message, {'struct': FOUR})
            return {'map': MAP}
        def Test08(self, who, map, _message):
            check(_message, {'map': MAP})
            return {'set': SET}
        def Test09(self, who, set, _message):
            check(_message, {'set': {'one': {}, 'two': {}, 'three': {}}})
            return {'mytype': MYTYPE}
        def Test10(self, who, mytype, _message, _more):
            # Null and missing are the same.
            if present(mytype) != present(MYTYPE) or not _message.get('more'):
                raise Odd(MYTYPE, {'is': str(mytype)})
            turns[who] += 1
            for reply in REPLIES:
                yield {'string': reply, '_continues': reply != REPLIES[-1]}
        def Test11(self, who, last_more_replies, _message, _oneway=False):
            check(_message, {'last_more_replies': REPLIES}, oneway=True)
        def End(self, who, _message):
            check(_message, {})
            return {'all_ok': True}

    handler = type('Handler', (varlink.RequestHandler,), {'service': service})
    with varlink.ThreadingServer(address, handler) as listening:
        print('ready', flush=True)
        listening.serve_forever()

globals()[sys.argv[1]](*sys.argv[2:])
`;
