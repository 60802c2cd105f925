"""An exchange with ccxt's interface, sync and async, and ccxt's names for what goes wrong."""

import itertools


class BaseError(Exception): ...
class ExchangeError(BaseError): ...
class InvalidOrder(ExchangeError): ...
class InsufficientFunds(ExchangeError): ...
class OrderNotFound(InvalidOrder): ...
class NotSupported(ExchangeError): ...
class OperationFailed(BaseError): ...
class NetworkError(OperationFailed): ...
class RequestTimeout(NetworkError): ...


class Exchange:
    """What ccxt's `Exchange` and a Binance below it do, in small. `sent` has what reached the exchange."""

    id = "binanceusdm"

    def __init__(self):
        self.sent = []
        self.fails = []
        self.orders = {}
        self.held = []
        self.options = {}
        self.markets = {"BTC/USDT:USDT": {"linear": True, "contractSize": 1.0}}
        self.verbose = False
        self._ids = itertools.count(1)

    def amount_to_precision(self, symbol, amount):
        return f"{amount:.3f}"

    def price_to_precision(self, symbol, price):
        return f"{price:.1f}"

    def _place(self, symbol, type, side, amount, price, params):
        self.sent.append(("create", symbol, type, side, amount, price, dict(params)))
        if self.fails:
            raise self.fails.pop(0)
        order = {
            "id": str(next(self._ids)), "clientOrderId": params.get("newClientOrderId"), "symbol": symbol, "type": type,
            "side": side, "amount": amount, "price": price, "filled": 0.0, "remaining": amount, "status": "open",
            "info": {"origQty": str(amount)},
        }  # fmt: skip
        self.orders[order["id"]] = order
        return order

    def _cancel(self, id, symbol):
        self.sent.append(("cancel", id))
        if self.orders[id]["status"] != "open":
            raise OrderNotFound(f"binanceusdm unknown order {id}")
        self.orders[id] = {**self.orders[id], "status": "canceled"}
        return self.orders[id]

    def _find(self, id, params):
        self.sent.append(("fetch", id, dict(params)))
        wanted = params.get("origClientOrderId")
        for order in self.orders.values():
            if order["id"] == id or (wanted and order["clientOrderId"] == wanted):
                return order
        raise OrderNotFound("binanceusdm Order does not exist.")

    def create_order(self, symbol, type, side, amount, price=None, params={}):
        return self._place(symbol, type, side, amount, price, params)

    def create_market_order(self, symbol, side, amount, price=None, params={}):
        return self.create_order(symbol, "market", side, amount, price, params)

    def create_market_buy_order(self, symbol, amount, params={}):
        return self.create_market_order(symbol, "buy", amount, None, params)

    def create_stop_loss_order(self, symbol, type, side, amount, price=None, stopLossPrice=None, params={}):
        return self.create_order(symbol, type, side, amount, price, {**params, "stopLossPrice": stopLossPrice})

    def create_orders(self, orders, params={}):
        return [self._leg(order) for order in orders]

    def _leg(self, order):
        try:
            return self._place(
                order["symbol"], order["type"], order["side"], order["amount"], order.get("price"), order["params"]
            )
        except InvalidOrder as error:
            return {"id": None, "status": "rejected", "info": {"code": -4164, "msg": str(error)}}

    def edit_order(self, id, symbol, type, side, amount=None, price=None, params={}):
        self.sent.append(("edit", id, amount, price))
        self.orders[id] = {**self.orders[id], "amount": amount, "price": price}
        return self.orders[id]

    def cancel_order(self, id, symbol=None, params={}):
        self.sent.append(("params", dict(params)))
        return self._cancel(id, symbol)

    def cancel_all_orders(self, symbol=None, params={}):
        for order in self.fetch_open_orders(symbol):
            self._cancel(order["id"], symbol)
        return [{"id": None, "status": None, "info": {"code": 200}}]

    def fetch_order(self, id, symbol=None, params={}):
        return self._find(id, params)

    def fetch_order_status(self, id, symbol=None, params={}):
        return self.fetch_order(id, symbol, params)["status"]

    def fetch_open_orders(self, symbol=None, since=None, limit=None, params={}):
        return [order for order in self.orders.values() if order["status"] == "open"]

    def fetch_my_trades(self, symbol=None, since=None, limit=None, params={}):
        trade = {"id": "9", "order": "1", "symbol": symbol, "takerOrMaker": "taker", "amount": 0.1, "price": 2.0}
        return [{**trade, "info": {"qty": "0.100"}}]

    def fetch_positions(self, symbols=None, params={}):
        self.sent.append(("positions", symbols))
        if self.fails:
            raise self.fails.pop(0)
        return self.held

    def fetch_ticker(self, symbol):
        return {"symbol": symbol, "last": 1.0}

    createOrder = create_order
    createMarketBuyOrder = create_market_buy_order


class BaseEditing(Exchange):
    """A venue that cannot amend: ccxt cancels and places anew."""

    def edit_order(self, id, symbol, type, side, amount=None, price=None, params={}):
        self.cancel_order(id, symbol)
        return self.create_order(symbol, type, side, amount, price, params)


class AsyncExchange(Exchange):
    """The same as ccxt.async_support has it."""

    delay = None

    async def create_order(self, symbol, type, side, amount, price=None, params={}):
        order = self._place(symbol, type, side, amount, price, params)
        if self.delay:
            await self.delay()
        return order

    async def create_market_order(self, symbol, side, amount, price=None, params={}):
        return await self.create_order(symbol, "market", side, amount, price, params)

    async def create_market_buy_order(self, symbol, amount, params={}):
        return await self.create_market_order(symbol, "buy", amount, None, params)

    async def create_orders(self, orders, params={}):
        return [self._leg(order) for order in orders]

    async def cancel_order(self, id, symbol=None, params={}):
        return self._cancel(id, symbol)

    async def fetch_order(self, id, symbol=None, params={}):
        return self._find(id, params)

    async def fetch_open_orders(self, symbol=None, since=None, limit=None, params={}):
        return [order for order in self.orders.values() if order["status"] == "open"]

    async def fetch_positions(self, symbols=None, params={}):
        return Exchange.fetch_positions(self, symbols, params)

    async def fetch_my_trades(self, symbol=None, since=None, limit=None, params={}):
        return Exchange.fetch_my_trades(self, symbol)

    async def __aenter__(self):
        return self

    async def __aexit__(self, kind, error, traceback):
        self.sent.append(("closed",))
