"""A strategy that trades often and means nothing by it: longs and shorts in turn, additions, stops at the exchange."""

from datetime import timedelta

from freqtrade.strategy import IStrategy


class Often(IStrategy):
    INTERFACE_VERSION = 3
    timeframe = "1m"
    can_short = True
    startup_candle_count = 5
    process_only_new_candles = False
    minimal_roi = {"0": 10}
    stoploss = -0.2
    position_adjustment_enable = True
    max_entry_position_adjustment = 1
    order_types = {
        "entry": "limit", "exit": "market", "stoploss": "market", "stoploss_on_exchange": True,
        "emergency_exit": "market", "force_exit": "market",
    }  # fmt: skip

    def populate_indicators(self, dataframe, metadata):
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        minute = dataframe["date"].dt.minute
        dataframe.loc[minute % 2 == 0, ["enter_long", "enter_tag"]] = (1, "even")
        dataframe.loc[minute % 2 == 1, ["enter_short", "enter_tag"]] = (1, "odd")
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        return dataframe

    def leverage(self, pair, current_time, current_rate, proposed_leverage, max_leverage, entry_tag, side, **kwargs):
        return 3.0

    def adjust_trade_position(self, trade, current_time, *args, **kwargs):
        """Some trades are added to once, some are closed in two parts."""
        age = current_time - trade.open_date_utc
        if age < timedelta(seconds=6) or trade.has_open_orders or trade.nr_of_successful_exits:
            return None
        if trade.id % 3 == 0 and trade.nr_of_successful_entries == 1:
            return 200
        if trade.id % 3 == 1:
            return -trade.stake_amount / 2
        return None

    def custom_exit(self, pair, trade, current_time, current_rate, current_profit, **kwargs):
        return "old enough" if current_time - trade.open_date_utc > timedelta(seconds=15) else None
