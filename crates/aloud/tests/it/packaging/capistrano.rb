# frozen_string_literal: true

# A stand-in for Capistrano: as much of its language as the tasks use, played on
# this machine. The steps are those of its own recipe, in its order.
#
#   ruby capistrano.rb RECIPE TASK

require "open3"

module SSHKit
  module Command
    Failed = Class.new(StandardError)
  end
end

module Rake
  class Task
    ALL = Hash.new { |all, name| all[name] = new }

    def self.[](name) = ALL.fetch(name)
    def self.task_defined?(name) = ALL.key?(name)

    attr_reader :hooks

    def initialize
      @actions = []
      @hooks = []
    end

    def clear_actions = @actions.clear
    def add(action) = @actions << action

    def invoke
      @actions.each(&:call)
      @hooks.each { |name| Task[name].invoke }
    end
  end
end

$space = []
$settings = {}

def namespace(name)
  $space.push(name)
  yield
  $space.pop
end

def desc(_title) = nil
def task(name, &action) = Rake::Task::ALL[[*$space, name].join(":")].add(action)
def after(name, hook) = Rake::Task[name].hooks << hook
def invoke(name) = Rake::Task[name].invoke
def set(name, value) = $settings[name] = value
def fetch(name) = $settings[name].call
def release_roles(roles) = [roles]

# Where the blocks of `on` are played.
class Host
  def capture(command)
    said, status = Open3.capture2e("sh", "-c", command)
    raise SSHKit::Command::Failed, "exit status #{status.exitstatus}\n#{said}" unless status.success?

    said
  end

  def info(line) = puts("[host] #{line}")
  def warn(line) = puts("[host] WARN #{line}")
end

def on(_hosts, &block) = Host.new.instance_exec(&block)

def step(what) = -> { File.write(ENV.fetch("CALLS"), "#{what}\n", mode: "a") }

namespace :deploy do
  task(:published, &-> {})
  task(:cleanup, &step("rm -rf"))
  task(:cleanup_rollback, &step("tar and rm -rf"))
  task(:symlink, &step("symlink"))
  task(:finished, &step("finished"))
  task(:rollback) { %w[symlink published cleanup_rollback finished].each { |name| invoke "deploy:#{name}" } }
end
task(:deploy) { %w[symlink published cleanup finished].each { |name| invoke "deploy:#{name}" } }

load ARGV[0]
invoke "load:defaults"
begin
  invoke ARGV[1]
rescue SSHKit::Command::Failed => e
  warn e.message
  exit 1
end
